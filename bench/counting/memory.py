"""Peak live bytes: the largest number of bytes of tensor storage alive at once, and their split by category.

A storage counts from the operator that allocated it until its last reference is gone. Categories are assigned afterwards: a
buffer that became a gradient counts as a gradient from the start.
Not counted: what an operator allocates and frees internally (workspaces), and the allocator's rounding.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch._ops import OpOverload

Category = Literal["parameters", "inputs", "optimizer state", "gradients", "state", "saved for backward", "temporary"]
# A storage with several categories counts as the first of these.
CATEGORIES: tuple[Category, ...] = (
    "parameters",
    "inputs",
    "optimizer state",
    "gradients",
    "state",
    "saved for backward",
    "temporary",
)


@dataclass(frozen=True)
class Peak:
    """``total`` bytes at the peak, their split by category, and the operator at which it occurred."""

    total: int
    by_category: dict[str, int]
    operator: str


class LiveBytes:
    """Observer of storages: ``mark`` what is alive before, observe the computation, then call ``peak()``."""

    def __init__(self) -> None:
        self._alive: dict[
            int, tuple[weakref.ref[torch.UntypedStorage], int]
        ] = {}  # storage address -> (weak reference, serial number)
        self._roles: list[set[Category]] = []  # by serial number
        self._sizes: list[int] = []
        self._events: list[tuple[int, int]] = []  # (serial number, change in bytes)
        self._operators: list[tuple[int, OpOverload]] = []  # (number of events when it ended, operator)

    def mark(self, values: Iterable[Tensor], category: Category) -> None:
        """Assign a category to tensors; a tensor not seen before counts as alive from now on."""
        for tensor in values:
            self._roles[self._serial(tensor)].add(category)

    def on_operator(self, op: OpOverload, args: Sequence[object], reads: list[Tensor], outputs: list[Tensor]) -> None:
        before = len(self._events)
        for tensor in outputs:
            self._serial(tensor)
        if len(self._events) != before:
            self._operators.append((len(self._events), op))

    def on_saved(self, tensor: Tensor) -> None:
        self._roles[self._serial(tensor)].add("saved for backward")

    def _serial(self, tensor: Tensor) -> int:
        storage = tensor.untyped_storage()
        address, size = storage._cdata, storage.nbytes()
        known = self._alive.get(address)
        if known is None:
            serial = len(self._roles)
            self._roles.append({"temporary"})
            self._sizes.append(size)
            self._events.append((serial, size))
            self._alive[address] = (weakref.ref(storage, lambda _: self._freed(address)), serial)
            return serial
        serial = known[1]
        if size != self._sizes[serial]:  # resized in place, e.g. by out=
            self._events.append((serial, size - self._sizes[serial]))
            self._sizes[serial] = size
        return serial

    def _freed(self, address: int) -> None:
        _, serial = self._alive.pop(address)
        self._events.append((serial, -self._sizes[serial]))

    def peak(self) -> Peak:
        live, highest, end = 0, 0, 0
        for i, (_, change) in enumerate(self._events):
            live += change
            if live > highest:
                highest, end = live, i + 1
        at_peak: dict[int, int] = {}
        for serial, change in self._events[:end]:
            at_peak[serial] = at_peak.get(serial, 0) + change
        split: dict[str, int] = dict.fromkeys(CATEGORIES, 0)
        for serial, size in at_peak.items():
            split[next(c for c in CATEGORIES if c in self._roles[serial])] += size
        name = next((str(op) for events, op in self._operators if events >= end), "before the first operator")
        return Peak(highest, split, name)
