"""Stores tensors of few values compactly: spikes at one bit each, sums and pools of spikes at a few bits or a byte.

Exact: ``unpack(pack(x))`` equals ``x`` to the bit, in value, shape and order in memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.kernels import bits
from bench.lift.recognition.levels import Levels

_PLANES = 4  # more bits than these are stored as a byte


@dataclass(frozen=True)
class Packed:
    """``planes``: the bits of the whole numbers, the lowest first, or one tensor of bytes; ``strides``: of the tensor packed."""

    planes: tuple[Tensor, ...]
    levels: Levels
    shape: torch.Size
    strides: tuple[int, ...]
    dtype: torch.dtype


def width(levels: Levels) -> int:
    """Return the bits that one value takes."""
    used = levels.most.bit_length()
    return used if used <= _PLANES else 8


def pack(x: Tensor, levels: Levels) -> Packed:
    """Store ``x``, whose values are ``levels``. Its elements fill its storage without gaps, or a copy of them does."""
    x = x.detach()
    strides = x.stride() if _dense(x) else x.contiguous().stride()
    flat = x.as_strided((x.numel(),), (1,)) if _dense(x) else x.flatten()
    if levels == Levels(1):
        return Packed((bits.pack(flat),), levels, x.shape, strides, x.dtype)
    whole = (flat if levels.scale == 1 else flat / levels.scale).to(torch.uint8)
    count = width(levels)
    if count == 8:
        return Packed((whole,), levels, x.shape, strides, x.dtype)
    planes = tuple(bits.pack(whole.bitwise_right_shift(j).bitwise_and_(1)) for j in range(count))
    return Packed(planes, levels, x.shape, strides, x.dtype)


def unpack(packed: Packed) -> Tensor:
    size = torch.Size([packed.shape.numel()])
    if packed.levels == Levels(1):
        flat = bits.unpack(packed.planes[0], size, packed.dtype)
    elif width(packed.levels) == 8:
        flat = packed.planes[0].to(packed.dtype)
    else:
        whole = bits.unpack(packed.planes[0], size, torch.uint8)
        for j, plane in enumerate(packed.planes[1:], 1):
            whole.add_(bits.unpack(plane, size, torch.uint8), alpha=2**j)
        flat = whole.to(packed.dtype)
    if packed.levels.scale != 1:
        flat.mul_(packed.levels.scale)
    return flat.as_strided(packed.shape, packed.strides)


def _dense(x: Tensor) -> bool:
    """Whether the elements of ``x`` lie without gaps and overlaps from the begin of its storage on."""
    expected = 1
    for stride, size in sorted((stride, size) for stride, size in zip(x.stride(), x.shape, strict=True) if size > 1):
        if stride != expected:
            return False
        expected *= size
    return x.storage_offset() == 0
