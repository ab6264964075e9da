"""The design space of two cuts, time into windows and layers into blocks, as cells (K, b). Nothing here imports torch.

K time steps per window, b layers of neurons per block. With updates at the end of a sequence, four algorithms differ in their
cell alone (laws tested in tests/local/test_local_gradients.py):

| | blocks of b layers | one block of all layers |
|---|---|---|
| K < T | ttl-bptt | tbptt |
| K = T | local | bptt |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.case import CaseFields
from bench.errors import choose

CUTS = ("time", "layers")
Cut = Literal["time", "layers"]
OF_THE_CELL = ("K", "b", "update")  # options that say the cell of a case


@dataclass(frozen=True)
class Cell:
    """``b`` is None for one block of all layers."""

    K: int
    b: int | None = None

    def __str__(self) -> str:
        return f"K = {self.K}, b = {self.blocks}"

    @property
    def blocks(self) -> int | str:
        """``b`` as shown."""
        return "all" if self.b is None else self.b

    @property
    def order(self) -> tuple[int, float]:
        """Sorts by K, then b, all layers last."""
        return (self.K, float("inf") if self.b is None else self.b)

    def without(self, cut: Cut, T: int) -> Cell | None:
        """The cell without this cut, the other cut unchanged; None if this cell does not have the cut."""
        if choose("cut", cut, CUTS) == "time":
            return Cell(T, self.b) if self.K < T else None
        return Cell(self.K) if self.b is not None else None


def setting(cell: Cell, T: int) -> tuple[str, dict[str, object]]:
    """The algorithm that is this cell, and its options."""
    match cell:
        case Cell(K, None):
            return ("bptt", {}) if K == T else ("tbptt", {"K": K})
        case Cell(K, b):
            return ("local", {"b": b}) if K == T else ("ttl-bptt", {"K": K, "b": b, "update": "end"})


def cell_of(case: CaseFields) -> Cell | None:
    """The cell of a case; None for another algorithm and for updates before the end."""
    options, T = case["options"], case["T"]
    K, b = options.get("K", T), options.get("b")
    if not isinstance(K, int) or not isinstance(b, int | None):
        return None
    cell = Cell(K, b)
    of_the_cell = {name: value for name, value in options.items() if name in OF_THE_CELL}
    return cell if (case["algorithm"], of_the_cell) == setting(cell, T) else None


def without_cell(case: CaseFields) -> CaseFields:
    """What cells of one design space have in common: the case without its cell, seed and scale, which are empty."""
    options = {name: value for name, value in case["options"].items() if name not in OF_THE_CELL}
    return {**case, "algorithm": "", "seed": 0, "scale": "", "options": options}
