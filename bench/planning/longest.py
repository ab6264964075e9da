"""The longest sequence whose live tensors fit in a given number of bytes, for any algorithm.

bench/overhead.py defines how many bytes of a card live tensors may use. For T <= COUNTED every step of the search is counted;
beyond, the formulas of
bench/planning/formulas.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from bench.counting.any_step import Cost
from bench.counting.step import batch_for, cost_of
from bench.planning import coefficients
from bench.planning.coefficients import OfCatalogue
from bench.training_step import training_step

COUNTED = 128
MOST = 10**6
EXACT = ("bptt", "checkpointed", "replay")


def counted(network: str, algorithm: str, T: int, batch: int, options: Mapping[str, Any]) -> Cost:
    """Return the cost of one training step on the native backend, counted on device 'meta'."""
    step = training_step(network, algorithm, "native", device="meta", **options)
    return cost_of(step, *batch_for(step, T, batch, "meta"))


def largest(need: Callable[[int], float], limit: float, most: int = MOST) -> int:
    """Return the largest n in 1..most with need(n) <= limit; 0 if there is none.

    ``need`` increases except for dips, where a longer sequence gets more segments. So n is searched in steps of a tenth until
    need reaches four times the limit, from the last n that fits in steps of 1/400, and then exactly.
    """

    def last_that_fits(n: int, step: Callable[[int], int], stop: Callable[[int, float], bool]) -> tuple[int, int]:
        low, above = 0, n
        while n <= most and not stop(n, needed := need(n)):
            if needed <= limit:
                low, above = n, n + step(n)
            n += step(n)
        return low, above

    rough, _ = last_that_fits(1, lambda n: max(1, n // 10), lambda _, needed: needed > 4 * limit)
    if rough == 0:
        return 0
    low, above = last_that_fits(rough, lambda _: max(1, rough // 400), lambda n, _: n > 1.25 * rough + 1)
    high = min(above, most + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if need(middle) <= limit else (low, middle)
    return low


def longest(network: str, algorithm: str, batch: int, live: float, options: Mapping[str, Any]) -> tuple[int, bool]:
    """Return the largest T whose training step has at most ``live`` live bytes (0 if T = 1 does not fit), and whether counted."""
    T = largest(_cached_formula(network, algorithm, batch, tuple(sorted(options.items()))), live)
    if T > COUNTED or algorithm not in EXACT:
        return T, False
    need = cache(lambda T: counted(network, algorithm, T, batch, options).memory.total)
    while T > 0 and need(T) > live:
        T -= 1
    while need(T + 1) <= live:
        T += 1
    return T, True


@cache
def _cached_formula(network: str, algorithm: str, batch: int, options: tuple[tuple[str, object], ...]) -> Callable[[int], float]:
    """Return the formula with a cache of its values, shared by searches with different limits."""
    return cache(formula(network, algorithm, batch, dict(options)))


def formula(network: str, algorithm: str, batch: int, options: Mapping[str, Any]) -> Callable[[int], float]:
    """Return the peak live bytes as a function of T, on the native backend."""
    counting = OfCatalogue(network, algorithm, "native", tuple(sorted(options.items())), at=batch)
    found = coefficients.formula(counting)
    return lambda T: found.peak(coefficients.lengths(found, counting.options, T), batch)
