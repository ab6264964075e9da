"""An estimate with its 95 % interval, from repeated measurements of one number.

| measured by | interval |
|---|---|
| a count (parameters, bytes, MACs, longest T) or CUDA's peak | the number itself: it has no noise |
| a clock | of the ratios turn by turn, 6 or more: order statistics that hold the median at 95 % or more (7: all, 98.4 %) |
| runs over seeds | mean +- t(n - 1) s / sqrt(n), Student's; a single run has no interval |

The test set is a sample too. An accuracy p on N samples has the variance p (1 - p) / N. More seeds do not lower it, because all
runs see the same samples; it is added to the seeds' variance of the mean, as squares of half widths are. A difference of two
accuracies has the variance of both, as if their errors were independent: errors per image are not recorded.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from bench.claims.evidence import finite
from bench.record import Record
from bench.speed.rows import TIMING

# Two-sided 95 % points of Student's t for 1, 2, ... degrees of freedom; beyond, the last is slightly conservative.
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
T_90 = (6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812)  # the same at 90 %
Z_95 = 1.96
LEAST_TURNS = 6  # fewer turns contain the median with less than 95 %
EXACT = ("count", "cost", "cost-half", "longest", "cuda-memory", "cuda-memory-half")
_SHARES = ("%", "points")  # units of what is counted on the samples of a test set


@dataclass(frozen=True)
class Estimate:
    """``value`` with the ends of its interval; ``spread`` is the standard deviation over seeds where there are several."""

    value: float
    low: float
    high: float
    spread: float | None = None

    @property
    def described(self) -> str:
        """The interval in words, where there is one."""
        if self.low == self.high:
            return ""
        if math.isinf(self.low) or math.isinf(self.high):
            return "no interval: one run has no spread, turns are too few or of two runs, or the test set has no known size"
        return f"95 % interval {self.low:.6g} to {self.high:.6g}"

    def scaled(self, factor: float) -> Estimate:
        low, high = sorted((factor * self.low, factor * self.high))
        return Estimate(factor * self.value, low, high, None if self.spread is None else abs(factor) * self.spread)


def of_runs(records: Sequence[Record], sampled: bool) -> Estimate:
    """Of the runs of one recipe; ``sampled``: the noise of the test set counts."""
    values = [record.number for record in records]
    probe = records[0].case["probe"]
    if probe in EXACT:
        return Estimate(statistics.fmean(values), min(values), max(values))
    if probe == "clock":
        turns = [_turns(record) for record in records]
        if min(map(len, turns)) < LEAST_TURNS:
            return Estimate(statistics.fmean(values), -math.inf, math.inf)
        ends = [*values, *(end for of_record in turns for end in median_interval(of_record))]
        return Estimate(statistics.fmean(values), min(ends), max(ends))
    return of_seeds(values, sampling_noise(records) if sampled else 0.0)


def of_ratio(left: Sequence[Record], right: Sequence[Record]) -> Estimate:
    """left / right: of rows timed in the same turns, turn by turn; else from the estimates of both."""
    if not {left[0].case["probe"], right[0].case["probe"]} <= set(TIMING):
        return quotient(of_runs(left, sampled=True), of_runs(right, sampled=True))
    ratios = ratios_in_turns(left[-1], right[-1])
    if len(left) > 1 or len(right) > 1 or len(ratios) < LEAST_TURNS:
        return Estimate(left[-1].number / right[-1].number if right[-1].number else math.inf, -math.inf, math.inf)
    return Estimate(statistics.median(ratios), *median_interval(ratios))


def ratios_in_turns(mine: Record, other: Record) -> list[float]:
    """Return mine / other of every turn; nothing unless both are of one case and run, with the medians that they state."""
    a, b = _raw(mine), _raw(other)
    if (mine.key, mine.run, len(a)) != (other.key, other.run, len(b)):
        return []
    return [x / y for x, y in zip(a, b, strict=True)]


def _raw(record: Record) -> list[float]:
    raw = record.detail.get("raw")
    if not isinstance(raw, list) or not raw or not all(finite(each) and each > 0 for each in raw):
        return []
    return raw if math.isclose(statistics.median(raw), record.number, rel_tol=1e-9) else []


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the k-th least and k-th largest value, k as large as contains the median with at least 95 % (sign test)."""
    n, ordered, outside = len(values), sorted(values), 2 * 0.5 ** len(values)
    k = 1
    while k < n // 2 and outside + 2 * math.comb(n, k) * 0.5**n <= 0.05:
        outside += 2 * math.comb(n, k) * 0.5**n
        k += 1
    return ordered[k - 1], ordered[n - k]


def of_seeds(values: Sequence[float], noise: float = 0.0) -> Estimate:
    """Mean and Student's interval, widened by noise that all values share (a half width at 95 %)."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Estimate(mean, -math.inf, math.inf)
    spread = statistics.stdev(values)
    half = math.hypot(T_95[min(len(values) - 2, len(T_95) - 1)] * spread / math.sqrt(len(values)), noise)
    return Estimate(mean, mean - half, mean + half, spread)


def of_draws(values: Sequence[float]) -> Estimate:
    """Mean over draws, and the interval that holds a further draw with 90 %: m +- t s sqrt(1 + 1 / M)."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return Estimate(mean, -math.inf, math.inf)
    spread = statistics.stdev(values)
    half = T_90[min(len(values) - 2, len(T_90) - 1)] * spread * math.sqrt(1 + 1 / len(values))
    return Estimate(mean, mean - half, mean + half, spread)


def of_differences(left: Sequence[Record], right: Sequence[Record]) -> Estimate:
    """left - right, seed by seed: runs of one seed share initial weights and the order of samples."""
    others = {record.case["seed"]: record.number for record in right}
    pairs = [(record.number, others[record.case["seed"]]) for record in left if record.case["seed"] in others]
    if not pairs:
        return Estimate(of_runs(left, False).value - of_runs(right, False).value, -math.inf, math.inf)
    if left[0].case["probe"] in EXACT:
        exact = [a - b for a, b in pairs]
        return Estimate(statistics.fmean(exact), min(exact), max(exact))
    return of_seeds([a - b for a, b in pairs], math.hypot(sampling_noise(left), sampling_noise(right)))


def quotient(top: Estimate, bottom: Estimate) -> Estimate:
    """top / bottom, the ends from the ends of both; unbounded where the lower may be 0 or less."""
    if bottom.low <= 0 or not all(map(math.isfinite, (bottom.low, bottom.high))):
        return Estimate(top.value / bottom.value if bottom.value else math.inf, -math.inf, math.inf)
    ends = [a / b for a in (top.low, top.high) for b in (bottom.low, bottom.high)]
    return Estimate(top.value / bottom.value, min(ends), max(ends))


def sampling_noise(records: Sequence[Record]) -> float:
    """Half width at 95 % of the sampling noise of the test set, in points; 0 for what is no share of its samples.

    A metric that is no accuracy itself ("points") is given the largest variance that a share has, 1 / 4.
    """
    half = 0.0
    for record in records:
        if record.unit not in _SHARES or record.case["probe"] != "training":
            continue
        size = record.detail.get("test images")
        if not isinstance(size, int) or size < 1:
            return math.inf
        half = max(half, sampling_half_width(record.number if record.unit == "%" else 50.0, size))
    return half


def sampling_half_width(accuracy: float, size: int) -> float:
    """Half width at 95 %, in points, of the sampling noise of an accuracy (%) on ``size`` samples."""
    share = min(max(accuracy / 100, 0.0), 1.0)
    share = min(max(share, 1 / size), 1 - 1 / size) if size > 1 else 0.5  # none wrong of N does not mean none ever
    return 100 * Z_95 * math.sqrt(share * (1 - share) / size)


def _turns(record: Record) -> list[float]:
    mine, other = record.detail.get("raw"), record.detail.get("raw native bptt")
    if not isinstance(mine, list) or not isinstance(other, list):
        return []
    return [a / b for a, b in zip(mine, other, strict=False) if finite(a) and finite(b) and b > 0]
