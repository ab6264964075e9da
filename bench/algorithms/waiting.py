"""A block's output while the block's graph exists: one byte a value.

A block's last gradients are worked out long after its last layer has run, and all that time the next block waits for its output.
What leaves neurons, through a constant factor and a 2 x 2 average pool, has few levels: y = c n / 4, n = 0 ... 4. y / c is exact
in eight-bit floating point, and c (y / c) is y again, to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn

from bench.networks import modules as m

BYTE = torch.float8_e4m3fn


def factor_of(layers: Sequence[nn.Module], dtype: torch.dtype) -> float | None:
    """The c of a block's output; None if the output is more than that: thinned by dropout, a sum, pooled otherwise, or of a
    type that rounds c itself."""
    last = max((i for i, layer in enumerate(layers) if isinstance(layer, m.Neurons) and layer.dropout == 0), default=None)
    if last is None:
        return None
    behind = layers[last + 1 :]
    pools = [layer for layer in behind if isinstance(layer, m.AvgPool)]
    scales = [layer.factor for layer in behind if isinstance(layer, m.Scaled)]
    if len(pools) + len(scales) < len(behind) or len(pools) > 1 or not all(pool.kernel == 2 and pool.apart for pool in pools):
        return None
    c = prod(scales)
    return c if c == 1 or dtype in (torch.float32, torch.float64) else None


def put_aside(y: Tensor, c: float) -> Tensor:
    y = y.detach()
    return (y if c == 1 else y / c).to(BYTE)


def taken_back(kept: Tensor, c: float, dtype: torch.dtype) -> Tensor:
    y = kept.to(dtype)
    return y if c == 1 else y.mul_(c)
