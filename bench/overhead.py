"""What a GPU's memory holds beside live tensors: the one place that says so, for every paper and for every budget.

    peak as papers read it = (1 + rounding) * live + fixed

``fixed``     the CUDA context and the workspaces of cuBLAS and cuDNN, 0 to 1 GiB: they belong to the process, so both sides of
              a comparison on one machine carry the same
``rounding``  the allocator's blocks and fragmentation, 0 to 10 % of what is live: it depends on which tensors are made in which
              order, so each side has its own

Basis: what SLTT's authors publish is 0.35 to 0.66 GB above what was counted of their networks at half precision, in both arms
alike, over arms of 0.5 to 5.2 GiB (Meng et al. 2023, tables of CIFAR and DVS; the count is ours). A context alone takes 0.3 to
0.6 GB, workspaces as much again at most; PyTorch's allocator rounds to 512 B, and to 2 MiB from 1 MiB on.
The box is wider than the basis on both axes, so that a verdict it leaves standing does not hang on one card or version.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.spec import UserError

HEADROOM = 2**30  # bytes of a card that are not for live tensors, unless told otherwise: the top of ``fixed``


@dataclass(frozen=True)
class Overhead:
    """The box of overheads: bounds of ``fixed`` in bytes and of ``rounding`` as a share of live bytes."""

    fixed: tuple[float, float] = (0, 2**30)
    rounding: tuple[float, float] = (0.0, 0.1)

    def __post_init__(self) -> None:
        for name, (low, high) in (("fixed", self.fixed), ("rounding", self.rounding)):
            if not 0 <= low <= high < math.inf:
                raise UserError(f"overhead {name} = {(low, high)}: bounds are finite, in order and not negative")

    def ratio_interval(self, top_bytes: float, bottom_bytes: float) -> tuple[float, float]:
        """Least and largest ratio of peaks, top over bottom, over every overhead in the box, from live bytes of both.

        ((1 + r) * top + f) / ((1 + q) * bottom + f) rises with r, falls with q, and is monotone in f: its ends are at corners.
        """
        for name, live in (("top", top_bytes), ("bottom", bottom_bytes)):
            if not 0 < live < math.inf:
                raise UserError(f"{name} = {live} live bytes: a ratio of peaks needs a positive, finite number on both sides")
        least, most = (1 + bound for bound in self.rounding)
        low = min((least * top_bytes + fixed) / (most * bottom_bytes + fixed) for fixed in self.fixed)
        high = max((most * top_bytes + fixed) / (least * bottom_bytes + fixed) for fixed in self.fixed)
        return low, high


OVERHEAD = Overhead()


def usable(budget: float, headroom: float = HEADROOM) -> float:
    """Bytes that live tensors may take of a card with ``budget`` bytes of memory; UserError where that is none."""
    if not 0 < budget < math.inf:
        raise UserError(f"budget = {_gib(budget)}: the memory of a card is a positive, finite number")
    if not 0 <= headroom < math.inf:
        raise UserError(f"headroom = {_gib(headroom)}: it is a finite number and not negative")
    if headroom >= budget:
        raise UserError(
            f"a budget of {_gib(budget)} is the card's memory, and {_gib(headroom)} of it are headroom for CUDA's context and "
            "workspaces: nothing is left for tensors. Raise the budget or lower the headroom"
        )
    return budget - headroom


def _gib(size: float) -> str:
    return f"{size / 2**30:g} GiB"
