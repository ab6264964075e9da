"""Memory of a GPU that live tensors do not account for. Defined here once, for all papers and budgets.

    peak as reported in papers = (1 + rounding) * live + fixed

``fixed``     the CUDA context and the workspaces of cuBLAS and cuDNN, 0 to 1 GiB. It belongs to the process, so it is the same
              on both sides of a comparison on one machine
``rounding``  the allocator's rounding and fragmentation, 0 to 10 % of the live bytes. It depends on the sequence of allocations,
              so each side has its own

Basis: the peaks that SLTT's authors report are 0.35 to 0.66 GB above our counts of their networks at half precision, for both
methods compared, with counts of 0.5 to 5.2 GiB (Meng et al. 2023, tables of CIFAR and DVS). A CUDA context takes 0.3 to 0.6 GB,
workspaces at most as much again; PyTorch's allocator rounds to 512 B, and to 2 MiB from 1 MiB on.

Both ranges are wider than this basis, so that a verdict that holds over all of them does not depend on one card or version.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from bench.errors import UserError

HEADROOM = 2**30  # default, in bytes of a card that live tensors cannot use: the upper bound of ``fixed``


@dataclass(frozen=True)
class Overhead:
    """Ranges of the overheads: bounds of ``fixed`` in bytes and of ``rounding`` as a fraction of the live bytes."""

    fixed: tuple[float, float] = (0, 2**30)
    rounding: tuple[float, float] = (0.0, 0.1)

    def __post_init__(self) -> None:
        for name, (low, high) in (("fixed", self.fixed), ("rounding", self.rounding)):
            if not 0 <= low <= high < math.inf:
                raise UserError(f"overhead {name} = {(low, high)}: use finite bounds with 0 <= lower <= upper")

    def ratio_interval(self, top_bytes: float, bottom_bytes: float) -> tuple[float, float]:
        """Return the least and largest ratio of peaks, top over bottom, over all overheads in range; arguments are live bytes.

        ((1 + r) * top + f) / ((1 + q) * bottom + f) increases with r, decreases with q and is monotone in f, so the extremes
        are at the ends of the ranges. Raises UserError unless both arguments are positive and finite.
        """
        for name, live in (("top", top_bytes), ("bottom", bottom_bytes)):
            if not 0 < live < math.inf:
                raise UserError(f"{name} = {live} live bytes: a ratio of peaks needs two positive, finite numbers")
        least, most = (1 + bound for bound in self.rounding)
        low = min((least * top_bytes + fixed) / (most * bottom_bytes + fixed) for fixed in self.fixed)
        high = max((most * top_bytes + fixed) / (least * bottom_bytes + fixed) for fixed in self.fixed)
        return low, high


OVERHEAD = Overhead()


def usable(budget: float, headroom: float = HEADROOM) -> float:
    """Return the bytes available to live tensors on a card with ``budget`` bytes. Raises UserError if there are none."""
    if not 0 < budget < math.inf:
        raise UserError(f"budget = {_gib(budget)}: use the card's memory, a positive, finite number")
    if not 0 <= headroom < math.inf:
        raise UserError(f"headroom = {_gib(headroom)}: use a finite number that is not negative")
    if headroom >= budget:
        raise UserError(
            f"a budget of {_gib(budget)} less {_gib(headroom)} of headroom for CUDA's context and workspaces: nothing is left "
            "for tensors. Raise the budget or lower the headroom"
        )
    return budget - headroom


def _gib(size: float) -> str:
    return f"{size / 2**30:g} GiB"
