"""Rules: what must hold between a claim and the evidence of one machine. RULES names them for claims.toml."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, Literal

from bench.claims.claim import Claim, Selector
from bench.claims.evidence import Evidence, rank
from bench.inverse import CONVENTIONS, Report, Setting, at_once, distance, nearest, settings
from bench.spec import SCALES, Record, UserError

# Two-sided 95 % points of Student's t for 1, 2, ... degrees of freedom; beyond, the last is a little too careful.
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


@dataclass(frozen=True)
class Finding:
    """What a rule found on the evidence of one machine."""

    holds: Literal["yes", "partly", "no"]
    measured: float | int | str
    reason: str
    records: tuple[Record, ...]
    spread: float | None = None
    n: int = 1


@dataclass(frozen=True)
class Missing:
    """A rule lacks evidence; ``what`` says which."""

    what: str


def within(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """|m - value| <= tolerance, m = factor * (mean over seeds of ``select`` [less the mean of ``over``]).

    ``partly``: a wider tolerance that makes it "partly". Fewer runs than reported make it "partly" too.
    """
    assert claim.value is not None, "load_claims asks for it"
    assert claim.tolerance is not None, "load_claims asks for it"
    minuend = _runs(claim, measure["select"], evidence)
    if isinstance(minuend, Missing):
        return minuend
    subtrahend = _runs(claim, measure["over"], evidence) if "over" in measure else None
    if isinstance(subtrahend, Missing):
        return subtrahend
    factor = measure.get("factor", 1)
    mean = factor * (minuend.mean - (subtrahend.mean if subtrahend else 0))
    spread = factor * minuend.spread if minuend.spread is not None and not subtrahend else None
    off = round(abs(mean - claim.value), 9)
    reason = f"{_short(mean)} against {claim.printed} {claim.unit}: "
    reason += f"{_short(off)} apart, {_short(claim.tolerance)} allowed"
    runs = len(minuend.records)
    holds: Literal["yes", "partly", "no"] = "no"
    if off <= claim.tolerance:
        holds = "yes"
    elif off <= measure.get("partly", claim.tolerance):
        holds, reason = "partly", f"{reason}, {_short(measure['partly'])} for partly"
    if claim.best is not None:
        reason += f"; best run {_short(factor * max(map(_number, minuend.records)))} against {_short(claim.best)}"
    if holds == "yes" and claim.n and runs < claim.n:
        holds, reason = "partly", f"{reason}; {runs} of the {claim.n} runs reported"
    return Finding(holds, mean, reason, (*minuend.records, *(subtrahend.records if subtrahend else ())), spread, runs)


def ratio(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """low <= mean(select) / mean(over) <= high."""
    top, bottom = _runs(claim, measure["select"], evidence), _runs(claim, measure["over"], evidence)
    if isinstance(top, Missing):
        return top
    if isinstance(bottom, Missing):
        return bottom
    low, high = measure["low"], measure["high"]
    value = top.mean / bottom.mean if bottom.mean else math.inf
    reason = f"ratio {_short(value)}, {_short(low)} to {_short(high)} allowed ({_sides(measure)})"
    holds: Literal["yes", "no"] = "yes" if low <= value <= high else "no"
    return Finding(holds, value, reason, (*top.records, *bottom.records), n=len(top.records))


def at_least(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """mean(select) - mean(over) >= value - tolerance, either 0 where the claim gives none."""
    left, right = _runs(claim, measure["select"], evidence), _runs(claim, measure["over"], evidence)
    if isinstance(left, Missing):
        return left
    if isinstance(right, Missing):
        return right
    least = round((claim.value or 0) - (claim.tolerance or 0), 9)
    value = round(left.mean - right.mean, 9)
    reason = f"difference {_short(value)}, at least {_short(least)} asked ({_sides(measure)})"
    return Finding("yes" if value >= least else "no", value, reason, (*left.records, *right.records), n=len(left.records))


def equal(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """The measured number, rounded to the precision printed ("9.2M": tenths of a million), is the one printed."""
    runs = _runs(claim, measure["select"], evidence)
    if isinstance(runs, Missing):
        return runs
    printed, places, unit = printed_number(claim.printed)
    record = max(runs.records, key=lambda r: r.when)
    measured = record.value
    if not isinstance(measured, int | float):
        raise UserError(f"claim {claim.id}: rule equal takes numbers, the record {record.key} holds {measured!r}")
    rounded = round(Decimal(str(measured)) / unit, places)
    reason = f"{measured} rounds to {rounded * unit:f}".removesuffix(".0") + f", printed {claim.printed}"
    return Finding("yes" if rounded == printed else "no", measured, reason, (record,))


def flat_in_T(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """All values from T = from_T to to_T are the same, exactly; both ends and a point between must be measured."""
    points = _over_T(claim, measure, evidence)
    if isinstance(points, Missing):
        return points
    values = [_exact(r) for r in points]
    growth = max(values) - min(values)
    told = f"{len(points)} points from T = {points[0].case['T']} to {points[-1].case['T']}"
    reason = f"{told}: {'the same in all' if growth == 0 else f'differs by {_short(float(growth))}'} ({_who(measure)})"
    return Finding("yes" if growth == 0 else "no", _whole(growth), reason, tuple(points), n=len(points))


def affine_in_T(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """The slope between neighbours T is the same positive number everywhere, exactly; ends as in flat_in_T."""
    points = _over_T(claim, measure, evidence)
    if isinstance(points, Missing):
        return points
    slopes = [(_exact(b) - _exact(a)) / (b.case["T"] - a.case["T"]) for a, b in pairwise(points)]
    told = f"{len(points)} points from T = {points[0].case['T']} to {points[-1].case['T']}"
    if len(set(slopes)) > 1:
        reason = f"{told}: the slope varies from {_short(float(min(slopes)))} to {_short(float(max(slopes)))}"
        return Finding("no", f"{_short(float(min(slopes)))} to {_short(float(max(slopes)))}", reason, tuple(points))
    reason = f"{told}: exactly {_whole(slopes[0])} a step ({_who(measure)})"
    return Finding("yes" if slopes[0] > 0 else "no", _whole(slopes[0]), reason, tuple(points), n=len(points))


def positive(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """Every selected value is > 0; the least is shown."""
    found = evidence.all(measure["select"])
    if not found or rank(found)[0] < SCALES.index(claim.scale):
        return Missing(_words(measure["select"]))
    least = min(map(_number, found), key=lambda value: -math.inf if math.isnan(value) else value)
    holds: Literal["yes", "no"] = "yes" if least > 0 else "no"
    return Finding(holds, least, f"least of {len(found)} values: {_short(least)}", tuple(found), n=len(found))


def lowered_by(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """The cut "time" or "layers" of a design space (see bench/cells.py) lowers the metric: see ``_changed_by``."""
    return _changed_by(-1, claim, measure, evidence)


def raised_by(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """The cut raises the metric: see ``_changed_by``."""
    return _changed_by(+1, claim, measure, evidence)


def _changed_by(sign: int, claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """Whether a cut changes the metric to the side of ``sign``: with 95 % confidence yes, without it partly.

    Every cell that has the cut is held against the cell that is the same but for it, seed by seed: change = with - without.
    A seed counts once, by its mean change over these pairs of cells (those that all seeds have): pairs of one seed share cells,
    initial weights and order of samples. The interval is Student's over the seeds, mean +- t(n - 1) s / sqrt(n), the effect
    size the mean over s. Two seeds are the least.
    """
    select, cut = measure["select"], measure["cut"]
    grid = evidence.grid(select, claim.scale)
    seeds = sorted({seed for runs in grid.values() for seed in runs})
    pairs: list[tuple[Mapping[int, Record], Mapping[int, Record]]] = []
    for cell, runs in grid.items():
        whole = grid.get(cell.without(cut, select["T"]) or cell, {})
        if whole is not runs and runs.keys() == whole.keys() == set(seeds):
            pairs.append((runs, whole))
    if len(seeds) < 2 or not pairs:
        return Missing(f"{_words(select)} with and without the cut in {cut} at the same two seeds or more")
    changes = [statistics.fmean(_number(runs[s]) - _number(whole[s]) for runs, whole in pairs) for s in seeds]
    mean, spread = statistics.fmean(changes), statistics.stdev(changes)
    half = T_95[min(len(seeds) - 2, len(T_95) - 1)] * spread / math.sqrt(len(seeds))
    holds: Literal["yes", "partly", "no"] = "yes" if sign * mean > half else "partly" if sign * mean > 0 else "no"
    effect = f"effect size {mean / spread:.2f}" if spread else "no spread"
    reason = (
        f"change by the cut in {cut} {mean:+.2f}, 95 % interval {mean - half:.2f} to {mean + half:.2f}, "
        f"n = {len(seeds)} seeds, {len(pairs)} pairs of cells each, {effect}"
    )
    used = {id(r): r for pair in pairs for runs in pair for r in runs.values()}
    return Finding(holds, mean, reason, tuple(used.values()), spread, len(seeds))


def some_setting(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """Some setting of ``algorithm`` changes every quantity of ``reports`` against BPTT as reported (see bench/inverse.py).

    ``reports``: {quantity: [change in per cent, tolerance in points]}; each may hold in any convention of counting. That some
    setting of many agrees makes a report possible, not reproduced: "partly" at most.
    """
    metrics = {convention.metric for convention in CONVENTIONS}
    records = [record for metric in sorted(metrics) for record in evidence.all({"probe": "cost", "metric": metric})]
    found = settings(records, measure["algorithm"])
    if not found or rank(records)[0] < SCALES.index(claim.scale):
        return Missing(f"cost of {measure['algorithm']} and of BPTT beside it")
    reports = {quantity: Report(*bounds) for quantity, bounds in measure["reports"].items()}
    agreeing, near = at_once(found, reports), nearest(found, reports)
    reason = f"{len(agreeing)} of {len(found)} settings agree in some convention of counting"
    reason += f"; nearest {near}, {_short(round(distance(near, reports), 3))} points off at most"
    return Finding("partly" if agreeing else "no", len(agreeing), reason, _of(near, records), n=len(found))


def _of(setting: Setting, records: Sequence[Record]) -> tuple[Record, ...]:
    place = (setting.network, setting.T, setting.batch, dict(setting.options))
    return tuple(r for r in records if (r.case["network"], r.case["T"], r.case["batch"], r.case["options"]) == place)


@dataclass(frozen=True)
class Rule:
    """A rule and what it takes: settings of ``measure`` that it must or may have, fields that the claim must have."""

    find: Callable[[Claim, Mapping[str, Any], Evidence], Finding | Missing]
    must: tuple[str, ...] = ("select",)
    may: tuple[str, ...] = ()
    of_claim: tuple[str, ...] = ()


RULES = {
    "within": Rule(within, may=("over", "factor", "partly"), of_claim=("value", "tolerance")),
    "ratio": Rule(ratio, ("select", "over", "low", "high")),
    "equal": Rule(equal, of_claim=("value",)),
    "flat_in_T": Rule(flat_in_T, ("select", "from_T", "to_T")),
    "affine_in_T": Rule(affine_in_T, ("select", "from_T", "to_T")),
    "at_least": Rule(at_least, ("select", "over")),
    "positive": Rule(positive),
    "lowered_by": Rule(lowered_by, ("select", "cut")),
    "raised_by": Rule(raised_by, ("select", "cut")),
    "some_setting": Rule(some_setting, ("algorithm", "reports")),
}


@dataclass(frozen=True)
class _Runs:
    records: tuple[Record, ...]
    mean: float
    spread: float | None


def _runs(claim: Claim, selector: Selector, evidence: Evidence) -> _Runs | Missing:
    """The runs of one case over its seeds."""
    records = evidence.series(selector, "seed", claim.scale)
    if not records:
        return Missing(_words(selector))
    values = [_number(record) for record in records]
    finite = all(map(math.isfinite, values))
    mean = statistics.fmean(values) if finite else math.nan
    spread = statistics.stdev(values) if finite and len(values) > 1 else None
    return _Runs(tuple(records), mean, spread)


def _over_T(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> list[Record] | Missing:
    first, last = measure["from_T"], measure["to_T"]
    points = [r for r in evidence.series(measure["select"], "T", claim.scale) if first <= r.case["T"] <= last]
    steps = [r.case["T"] for r in points]
    if len(points) < 3 or steps[0] != first or steps[-1] != last:
        return Missing(f"{_words(measure['select'])} at T = {first}, {last} and between (there: {steps or 'none'})")
    return points


def _number(record: Record) -> float:
    """A record's value as a float; 'nan' and 'inf' are what a diverged run leaves."""
    try:
        return float(record.value)  # type: ignore[arg-type]  # None and words are told below
    except (TypeError, ValueError):
        raise UserError(
            f"the rule takes numbers, {record.metric} of {record.key} is {record.value!r}: choose another metric"
        ) from None


def _exact(record: Record) -> Fraction:
    value = record.value
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise UserError(f"an exact rule takes numbers, {record.metric} of {record.key} is {record.value!r}")
    return Fraction(value)


def printed_number(text: str) -> tuple[Decimal, int, int]:
    """(number, decimal places, unit) of a number as printed: "9.2M" is (9.2, 1, 1000000).

    A spread after it, as in "93.52±0.06", is left aside. Raises ValueError where the text begins with no number.
    """
    found = re.match(r"≈?\s*([+-]?\d+(?:\.(\d+))?)\s*([kMG]?)\b", text)
    if found is None:
        raise ValueError(f"{text!r} does not begin with a number")
    units = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
    return Decimal(found[1]), len(found[2] or ""), units[found[3]]


def _whole(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)


def _short(number: float) -> str:
    value = float(number)
    return f"{value:,.0f}" if value.is_integer() and abs(value) >= 1e4 else f"{value:.6g}"


def _words(selector: Selector) -> str:
    names = ("metric", "dataset", "network", "algorithm", "backend")
    words = [str(selector[name]) for name in names if selector.get(name, "none") != "none"]
    words += [f"{name} {selector[name]}" for name in ("T", "batch", "detail") if name in selector]
    return ", ".join([*words, *(f"{name} {value}" for name, value in selector.get("options", {}).items())])


def _who(measure: Mapping[str, Any]) -> str:
    select = measure["select"]
    return " on ".join(str(select[name]) for name in ("algorithm", "backend") if name in select)


def _sides(measure: Mapping[str, Any]) -> str:
    """What is set against what, told by the fields in which the two selectors differ."""
    left, right = measure["select"], measure["over"]
    differ = [name for name in {**left, **right} if left.get(name) != right.get(name)]
    return " against ".join(" ".join(str(side.get(name, "any")) for name in differ) for side in (left, right))
