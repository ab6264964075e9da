"""The longest sequence whose live tensors fit in a given number of bytes, for any algorithm.

bench/overhead.py defines how many bytes of a card live tensors may use. For T <= COUNTED every step of the search is counted;
beyond, a formula is used:

    exact algorithms     peaks.py
    Skipper              T * in + (C - 3) * S + P(kept steps of a segment), P by lines through counts with three segments
    all others           a straight line: their graph does not grow with T
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from math import ceil
from typing import Any

from bench.algorithms.checkpointed import segments_of
from bench.algorithms.segments import edges
from bench.algorithms.skipper import best_allowed_segments
from bench.counting.any_step import Cost
from bench.counting.step import batch_for, cost_of
from bench.planning.peaks import Peaks, lines_through, peaks_of
from bench.training_step import recipe, training_step

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
    peaks = peaks_of(network, batch)
    match algorithm:
        case "bptt":
            return peaks.bptt
        case "checkpointed":
            lengths = _options_of("checkpointed", options)
            return lambda T: peaks.checkpointed([end - begin for begin, end in segments_of(T, peaks.graph_to_state, lengths)])
        case "replay":
            K = _options_of("replay", options).K
            return lambda T: peaks.replay(T, min(K, T))
        case "skipper":
            return _skipper(network, batch, peaks, options)
    K = getattr(_options_of(algorithm, options), "K", 1)
    few = max(20, 3 * K)  # three windows: the first reads no state and the last leaves none
    points = [(T, counted(network, algorithm, T, batch, options).memory.total) for T in (few, 2 * few)]
    return lines_through(points)


def _options_of(algorithm: str, options: Mapping[str, Any]) -> Any:
    """Return the algorithm's own options."""
    return recipe(algorithm, "native", options).options


def _skipper(network: str, batch: int, peaks: Peaks, options: Mapping[str, Any]) -> Callable[[int], float]:
    share, layers = 1 - _options_of("skipper", options).p / 100, peaks.layers
    points = []
    for kept in (layers, 2 * layers) if layers >= 8 else (8, 16, 32):
        T = 3 * ceil(kept / share)
        points.append((kept, counted(network, "skipper", T, batch, {**options, "segments": 3}).memory.total - T * peaks.input))
    need = lines_through(points)

    def peak(T: int) -> float:
        C = best_allowed_segments(T, layers, 100 * (1 - share), peaks.graph_to_state)
        kept = ((i, ceil(share * (end - begin))) for i, (begin, end) in enumerate(edges(T, C)))
        return T * peaks.input + max((i - 2) * peaks.state + need(K) for i, K in kept)

    return peak
