"""Stores the output of a block at half a byte per value while the block's backward pass runs.

The next block needs the output only after that backward pass. Spikes behind a constant factor c and a 2 x 2 average pool have
few levels: y = c n / 4, n = 0 ... 4. As an eight-bit float y / c is exact, and only its four middle bits differ:

    y / c         0         1/4       1/2       3/4       1
    float8_e4m3   00000000  00101000  00110000  00110100  00111000

Two values share a byte, and c (y / c) equals y to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn

from bench.nets import layers as m

MIDDLE = 0b00111100


@dataclass(frozen=True)
class Packed:
    """A packed tensor: ``factor`` times values, of which the middle bits are stored.

    In the order of memory, byte i holds the bits of value i of the second half, then those of value i of the first half.
    """

    halves: Tensor
    factor: float
    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype


class PackedOutput(nn.Module):
    """Packs the output of ``layers`` and unpacks it when called."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.factor = factor_of(layers)
        # Whether what it returns is spikes, for the MAC counter.
        self.emits_spikes = self.factor is not None and not any(
            isinstance(layer, m.AvgPool) for layer in layers[_last_neurons(layers) :]
        )

    def pack(self, y: Tensor) -> Packed | Tensor:
        """Pack ``y``. Returns ``y`` itself, detached, if it may have more levels, or a type in which c is rounded."""
        y, c = y.detach(), self.factor
        if c is None or (c != 1 and y.dtype not in (torch.float32, torch.float64)):
            return y
        floats = (y if c == 1 else y / c).to(torch.float8_e4m3fn)
        first, second = _halves(floats.view(torch.uint8).as_strided((y.numel(),), (1,)))
        packed = first.bitwise_right_shift(2)
        packed[: len(second)] |= second.bitwise_left_shift_(2)
        return Packed(packed, c, y.shape, floats.stride(), y.dtype)

    def forward(self, packed: Packed | Tensor) -> Tensor:
        if isinstance(packed, Tensor):
            return packed
        floats = torch.empty_strided(packed.shape, packed.stride, dtype=torch.float8_e4m3fn, device=packed.halves.device)
        values = floats.view(torch.uint8).as_strided((floats.numel(),), (1,))
        first, second = _halves(values)
        torch.bitwise_left_shift(packed.halves, 2, out=first)
        torch.bitwise_right_shift(packed.halves[: len(second)], 2, out=second)
        values &= MIDDLE
        y = floats.to(packed.dtype)
        return y if packed.factor == 1 else y.mul_(packed.factor)


def _halves(values: Tensor) -> tuple[Tensor, Tensor]:
    """Split in two halves; the second is one value shorter if their number is odd."""
    middle = (len(values) + 1) // 2
    return values[:middle], values[middle:]


def factor_of(layers: Sequence[nn.Module]) -> float | None:
    """Return the factor c of their output; None if it has more levels (dropout, a sum, other pooling)."""
    last = _last_neurons(layers)
    if last < 0:
        return None
    following = layers[last + 1 :]
    pools = [layer for layer in following if isinstance(layer, m.AvgPool)]
    scales = [layer.factor for layer in following if isinstance(layer, m.Scaled)]
    if (
        len(pools) + len(scales) < len(following)
        or len(pools) > 1
        or not all(pool.kernel == 2 and pool.disjoint for pool in pools)
    ):
        return None
    return prod(scales)


def _last_neurons(layers: Sequence[nn.Module]) -> int:
    """Return the index of the last layer of neurons without dropout; -1 if there is none."""
    return max((i for i, layer in enumerate(layers) if isinstance(layer, m.Neurons) and layer.dropout == 0), default=-1)
