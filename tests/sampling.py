"""A few of all combinations of some factors: every two values of different factors meet at least once (pairwise testing)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, product
from typing import Any

Combination = tuple[Any, ...]


def pairwise(*factors: Sequence[Any], possible: Callable[..., bool] = lambda *_: True) -> list[Combination]:
    """Return combinations of one value a factor, in the order of the product, that hold every pair that ``possible`` ones hold.

    The same factors give the same combinations; a value that is added to a factor is in one of them.
    """
    everything = [values for values in product(*factors) if possible(*values)]
    places = list(combinations(range(len(factors)), 2))

    def pairs(values: Combination) -> set[tuple[int, int, Any, Any]]:
        return {(i, j, values[i], values[j]) for i, j in places}

    missing = set().union(*map(pairs, everything)) if everything else set()
    chosen: set[Combination] = set()
    for least in range(len(places), 0, -1):  # first those that bring as many new pairs as they can
        for values in everything:
            if len(new := pairs(values) & missing) >= least:
                chosen.add(values)
                missing -= new
    return [values for values in everything if values in chosen]
