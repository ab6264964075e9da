"""Packs spikes at one bit each, 1/32 of their size in float32."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def pack(s: Tensor) -> Tensor:
    """Pack n spikes (0 or 1, any shape) as uint8 [ceil(n / 8)]: bit j of byte i is spike j * ceil(n / 8) + i."""
    flat = s.flatten()
    planes = F.pad(flat, (0, -len(flat) % 8)).unflatten(0, (8, -1)) if len(flat) % 8 else flat.unflatten(0, (8, -1))
    total = planes[0].clone()  # at most 255: exact in every floating type, also in bfloat16 with 8 significant bits
    for j in range(1, 8):
        total.add_(planes[j], alpha=2**j)
    packed: Tensor = total.to(torch.uint8)
    return packed


def unpack(bits: Tensor, shape: torch.Size, dtype: torch.dtype) -> Tensor:
    """Return the spikes that were packed, with the given shape and type."""
    planes = torch.empty(8, len(bits), dtype=dtype, device=bits.device)
    for j in range(8):
        planes[j].copy_(bits.bitwise_right_shift(j).bitwise_and_(1))
    return planes.flatten()[: shape.numel()].view(shape)
