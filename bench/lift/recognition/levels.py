"""Which tensors hold few values: whole numbers 0 ... ``most`` times a power of two, as sums and pools of spikes do.

    neurons                     0, 1
    views, copies, max pool     as their input
    sum of two of one scale     the largest numbers add up
    product of two              the largest numbers and the scales multiply
    average of 2^k values       the largest number times 2^k, the scale over 2^k

Found from operators on tensors without storage, not from values: what holds of every input, not of an example.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import prod

from torch import Tensor
from torch._ops import OpOverload

MOST = 255  # whole numbers up to here are exact in every floating type, and fit a byte


@dataclass(frozen=True)
class Levels:
    """The values ``scale`` times 0 ... ``most``."""

    most: int
    scale: float = 1.0


SPIKES = Levels(1)
_KEEP = {
    *("clone", "_to_copy", "contiguous", "detach", "repeat", "stack", "cat", "max_pool2d_with_indices", "max_pool1d", "select"),
    *("max_pool3d_with_indices", "max_pool2d", "index_select", "lift_fresh", "_reshape_copy", "expand_copy", "copy", "unsqueeze"),
}
_AVERAGES = {"avg_pool2d": 2, "avg_pool3d": 3}


class LevelsOf:
    """Observer that follows few-valued tensors through the operators of a computation."""

    def __init__(self) -> None:
        self._known: dict[int, Levels] = {}
        self._alive: list[Tensor] = []  # so that no address is used twice

    def mark(self, tensors: Iterable[Tensor], levels: Levels | None) -> None:
        for tensor in tensors:
            self._alive.append(tensor)
            if levels is None or levels.most > MOST:
                self._known.pop(_address(tensor), None)
            else:
                self._known[_address(tensor)] = levels

    def of(self, tensor: Tensor) -> Levels | None:
        return self._known.get(_address(tensor))

    def on_operator(self, op: OpOverload, args: Sequence[object], reads: list[Tensor], outputs: list[Tensor]) -> None:
        name = op.overloadpacket.__name__
        written = [
            tensor
            for argument, given in zip(op._schema.arguments, args, strict=False)
            if argument.alias_info is not None and argument.alias_info.is_write and isinstance(given, Tensor)
            for tensor in [given]
        ]
        self.mark([*outputs[:1], *written], self._result(name.rstrip("_"), args, reads))
        self.mark(outputs[1:], None)

    def _result(self, name: str, args: Sequence[object], reads: list[Tensor]) -> Levels | None:
        known = [self.of(tensor) for tensor in reads]
        levels = [each for each in known if each is not None]
        if not levels or len(levels) < len(known):
            return None
        first = levels[0]
        if name in _KEEP:
            same = all(each.scale == first.scale for each in levels)
            return Levels(max(each.most for each in levels), first.scale) if same else None
        if len(levels) == 2 and name == "add" and len(args) == 2 and first.scale == levels[1].scale:
            return Levels(first.most + levels[1].most, first.scale)
        if len(levels) == 2 and name == "mul":
            return Levels(first.most * levels[1].most, first.scale * levels[1].scale)
        if name in _AVERAGES:
            return _average(args, first, _AVERAGES[name])
        return None


def _average(args: Sequence[object], levels: Levels, dimensions: int) -> Levels | None:
    """avg_pool(x, kernel, stride, padding, ...): without padding, over a power of two of values."""
    kernel = args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ()
    padding = args[3] if len(args) > 3 and isinstance(args[3], list | tuple) else ()
    size = prod(kernel) ** (dimensions if len(kernel) == 1 else 1) if kernel else 0
    if size < 1 or size & (size - 1) or any(padding) or len(args) > 4:
        return None
    return Levels(levels.most * size, levels.scale / size)


def _address(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address
