"""The hidden states of some modules as tensors, to be taken out before a computation and put back for another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from bench.lift.frameworks import Slot


class Hidden:
    """What ``slots`` hold: their tensors, and the rest (numbers, lists, None) as it is."""

    def __init__(self, values: Sequence[object]) -> None:
        self.tensors = [tensor for value in values for tensor in _tensors(value)]
        self._shape = [_emptied(value) for value in values]

    @classmethod
    def of(cls, slots: Sequence[Slot]) -> Hidden:
        return cls([slot.read() for slot in slots])

    def put(self, slots: Sequence[Slot], tensors: Sequence[Tensor] | None = None) -> None:
        """Write the states, with other ``tensors`` in place of theirs."""
        left = iter(self.tensors if tensors is None else tensors)
        for slot, shape in zip(slots, self._shape, strict=True):
            slot.write(_filled(shape, left))

    def emptied(self) -> Hidden:
        """Return the same without its tensors."""
        other = Hidden([])
        other._shape = self._shape
        return other


def _tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _tensors(entry)


def _emptied(value: object) -> object:
    if isinstance(value, list | tuple):
        return type(value)(_emptied(entry) for entry in value)
    return ... if isinstance(value, Tensor) else value


def _filled(shape: object, left: Iterator[Tensor]) -> object:
    if isinstance(shape, list | tuple):
        return type(shape)(_filled(entry, left) for entry in shape)
    return next(left) if shape is ... else shape
