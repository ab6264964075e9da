"""Rules: what must hold between a claim and the evidence from one place. RULES names them for claims.toml.

A rule holds the interval of what was measured (see estimate.py) against what is claimed:

| the interval lies | the rule says |
|---|---|
| within what is claimed | yes |
| beyond it, on the side that the claim boasts of (``boasts``: "more" or "less") | exceeded |
| wholly outside otherwise | no |
| across a bound | cannot tell |

Within one part of a claim everything that is planned must be there: a run that is lost might have said anything, so that
without it no rule says better than "cannot tell". Where a selector matches several recipes, each is judged and told, and the
worst counts.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise, product
from typing import Any, Literal

from bench.cells import Cell, cell_of
from bench.claims.claim import Claim, Selector
from bench.claims.estimate import Estimate, of_differences, of_runs, of_seeds, quotient, sampling_noise
from bench.claims.evidence import Evidence, Group, finite
from bench.inverse import CONVENTIONS, Report, Setting, at_once, chance_level, distance, nearest, settings
from bench.overhead import OVERHEAD
from bench.spec import Record

Holds = Literal["no", "undecidable", "cannot tell", "partly", "yes", "exceeded"]
_WORST_FIRST: tuple[Holds, ...] = ("no", "undecidable", "cannot tell", "partly", "yes", "exceeded")
SIDES = ("more", "less")  # what a claim may boast of
LARGEST_CHANCE = 0.05  # a search that a larger share of targets near the reported one would pass decides nothing


@dataclass(frozen=True)
class Finding:
    """What a rule found on the evidence from one place."""

    holds: Holds
    measured: float | int | str | None
    reason: str
    records: tuple[Record, ...]
    spread: float | None = None
    n: int = 1
    complete: bool = True  # no planned run is missing


@dataclass(frozen=True)
class Missing:
    """A rule lacks evidence; ``what`` says which."""

    what: str


def within(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """|m - value| <= tolerance, m = factor * (mean over seeds of ``select`` [less the mean of ``over``]).

    ``partly``: a wider tolerance that makes it "partly". Fewer runs than reported make it "partly" too. A number reported for the
    same whole test set shares that set's noise, which then does not count; on a part of it, it does.
    """
    assert claim.value is not None, "load_claims asks for it"
    assert claim.tolerance is not None, "load_claims asks for it"
    value, tolerance, factor = claim.value, claim.tolerance, measure.get("factor", 1)
    wider = measure.get("partly", tolerance)

    def one(left: Group, right: Group | None) -> Finding:
        runs = of_differences(left.records, right.records) if right else of_runs(left.records, sampled=_in_part(left.records))
        found = runs.scaled(factor)
        holds = _against(found, value - tolerance, value + tolerance, measure.get("boasts"))
        if holds not in ("yes", "exceeded"):
            loosely = _against(found, value - wider, value + wider, measure.get("boasts"))
            holds = "partly" if loosely == "yes" else loosely
        reason = f"{_short(found.value)} against {claim.printed} {claim.unit}: "
        reason += f"{_short(round(abs(found.value - value), 9))} apart, {_short(tolerance)} allowed"
        reason += f", {_short(wider)} for partly" if holds == "partly" else ""
        if claim.best is not None:
            reason += f"; best run {_short(factor * max(map(_number, left.records)))} against {_short(claim.best)}"
        if holds in ("yes", "exceeded") and claim.n and len(left.records) < claim.n:
            holds, reason = "partly", f"{reason}; {len(left.records)} of the {claim.n} runs reported"
        return _finding(holds, found, reason, left, right)

    return _worst(claim, measure, evidence, one)


def ratio(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """low <= mean(select) / mean(over) <= high. ``boasts``: on which side of them the claim is exceeded."""

    def one(left: Group, right: Group | None) -> Finding:
        assert right is not None, "the rule must have over"
        found = quotient(of_runs(left.records, sampled=True), of_runs(right.records, sampled=True))
        return _ratio(found, measure, "ratio", left, right)

    return _worst(claim, measure, evidence, one)


def memory_ratio(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """low <= memory of ``select`` / memory of ``over`` <= high, as a GPU's memory is read; both select peak live bytes.

    Where CUDA's own peaks of the same cases were measured, they decide: what is allocated and what is reserved, which must agree.
    Live bytes decide alone where nothing that a GPU holds beside them (bench/overhead.py) can change the answer.
    """
    by_cuda = [
        ratio(replace(claim, scale="full"), _of_cuda(measure, metric), evidence)
        for metric in ("peak_allocated_bytes", "peak_reserved_bytes")
    ]
    found = [finding for finding in by_cuda if isinstance(finding, Finding)]
    if len(found) == len(by_cuda):
        holds = found[0].holds if len({f.holds for f in found}) == 1 else "cannot tell"
        reason = "; ".join(f"{what}: {f.reason}" for what, f in zip(("CUDA allocated", "reserved"), found, strict=True))
        return replace(found[0], holds=holds, reason=reason, records=(*found[0].records, *found[1].records))

    if found:
        return replace(found[0], holds="cannot tell", reason=f"one of CUDA's two peaks alone: {found[0].reason}", complete=False)

    def one(left: Group, right: Group | None) -> Finding:
        assert right is not None, "the rule must have over"
        top, bottom = of_runs(left.records, sampled=False).value, of_runs(right.records, sampled=False).value
        if top <= 0 or bottom <= 0:
            return _finding("cannot tell", Estimate(math.nan, -math.inf, math.inf), "no live bytes", left, right)
        low, high = OVERHEAD.ratio_interval(top, bottom)
        holds = _against(Estimate(top / bottom, low, high), measure["low"], measure["high"], measure.get("boasts"))
        reason = (
            f"ratio {_short(top / bottom)} of live bytes, {low:.3g} to {high:.3g} with what a GPU holds beside them; "
            f"{_short(measure['low'])} to {_short(measure['high'])} allowed ({_sides(measure)})"
        )
        return _finding(holds, Estimate(top / bottom, top / bottom, top / bottom), reason, left, right)

    return _worst(claim, measure, evidence, one)


def at_least(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """mean(select) - mean(over) >= value - tolerance, either 0 where the claim gives none; more of it exceeds nothing."""
    least = round((claim.value or 0) - (claim.tolerance or 0), 9)

    def one(left: Group, right: Group | None) -> Finding:
        assert right is not None, "the rule must have over"
        found = of_differences(left.records, right.records)
        reason = f"difference {_short(round(found.value, 9))}, at least {_short(least)} asked ({_sides(measure)})"
        return _finding(_against(found, least, math.inf, None), found, reason, left, right)

    return _worst(claim, measure, evidence, one)


def equal(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """The measured number, rounded to the precision printed ("9.2M": tenths of a million), is the one printed."""
    printed, places, unit = printed_number(claim.printed)

    def one(left: Group, _: Group | None) -> Finding:
        measured = max(left.records, key=lambda r: r.when).value
        all_rounded = {round(_exact(r) * 10**places / unit) for r in left.records}
        rounded = _whole(Fraction(round(Fraction(measured) * 10**places / unit) * unit, 10**places))  # type: ignore[arg-type]
        reason = f"{measured:,} rounds to {rounded:,}, printed {claim.printed}"
        return Finding("yes" if all_rounded == {printed * 10**places} else "no", measured, reason, left.records)

    return _worst(claim, measure, evidence, one)


def flat_in_T(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """All values from T = from_T to to_T are the same, exactly; both ends and a point between must be planned and measured."""

    def one(curve: Group, told: str) -> Finding:
        values = [_exact(r) for r in curve.records]
        growth = max(values) - min(values)
        reason = f"{told}: {'the same in all' if growth == 0 else f'differs by {_short(float(growth))}'} ({_who(measure)})"
        return Finding("yes" if growth == 0 else "no", _whole(growth), reason, curve.records, n=len(values))

    return _over_T(claim, measure, evidence, one)


def affine_in_T(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """The slope between neighbours T is the same positive number everywhere, exactly; ends as in flat_in_T."""

    def one(curve: Group, told: str) -> Finding:
        points = curve.records
        slopes = [(_exact(b) - _exact(a)) / (b.case["T"] - a.case["T"]) for a, b in pairwise(points)]
        if len(set(slopes)) > 1:
            span = f"{_short(float(min(slopes)))} to {_short(float(max(slopes)))}"
            return Finding("no", span, f"{told}: the slope varies from {span} ({_who(measure)})", points, n=len(points))
        reason = f"{told}: exactly {_whole(slopes[0])} a step ({_who(measure)})"
        return Finding("yes" if slopes[0] > 0 else "no", _whole(slopes[0]), reason, points, n=len(points))

    return _over_T(claim, measure, evidence, one)


def positive(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """Every selected value is > 0, and so is the interval of each seed's least over the seeds: one batch and seed say little.

    Where the interval is, but a value is not, it holds in part.
    """
    group = evidence.all(measure["select"], claim.scale)
    if group is None:
        return Missing(_words(measure["select"]))
    by_seed: dict[int, list[float]] = {}
    for record in group.records:
        by_seed.setdefault(record.case["seed"], []).append(_number(record))
    least = of_seeds([min(values) for values in by_seed.values()])
    everywhere = min(map(_number, group.records))
    holds: Holds = "no" if least.high < 0 else "cannot tell"
    if least.low > 0:
        holds = "yes" if everywhere > 0 else "partly"
    reason = f"least of {len(group.records)} values {_short(everywhere)}; least of a seed, over {len(by_seed)} seeds: "
    reason += least.told or _short(least.value)
    return _capped(Finding(holds, everywhere, reason, group.records, least.spread, len(group.records)), group)


def lowered_by(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """The cut "time" or "layers" of a design space (see bench/cells.py) lowers the metric: see ``_changed_by``."""
    return _changed_by(-1, claim, measure, evidence)


def raised_by(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """The cut raises the metric: see ``_changed_by``."""
    return _changed_by(+1, claim, measure, evidence)


def _changed_by(sign: int, claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """Whether a cut changes the metric to the side of ``sign``: yes or no where the interval leaves 0 out.

    Every cell that has the cut is held against the cell that is the same but for it, seed by seed: change = with - without.
    A seed counts once, by its mean change over these pairs of cells: pairs of one seed share cells, initial weights and order of
    samples. The interval is Student's over the seeds, with the noise of the test set, which all cells and seeds share, so that no
    mean lowers it. The effect size is the mean over the seeds' s. Two seeds are the least.
    """
    findings = []
    for group in evidence.grids(measure["select"], claim.scale):
        finding = _change(sign, measure, group)
        if finding is None and group.lost:
            finding = Finding("cannot tell", None, "no pair of cells at two seeds", group.records)
        if finding is not None:
            findings.append(_capped(finding, group))
    if not any(finding.measured is not None for finding in findings):
        return Missing(f"{_words(measure['select'])} with and without the cut in {measure['cut']} at the same two seeds or more")
    return _the_worst(findings)


def _change(sign: int, measure: Mapping[str, Any], group: Group) -> Finding | None:
    cut = measure["cut"]
    grid: dict[Cell, dict[int, Record]] = {}
    for record in group.records:
        cell = cell_of(record.case)
        assert cell is not None, "others were left out"
        grid.setdefault(cell, {})[record.case["seed"]] = record
    seeds = sorted({seed for runs in grid.values() for seed in runs})
    pairs: list[tuple[Mapping[int, Record], Mapping[int, Record]]] = []
    for cell, runs in grid.items():
        whole = grid.get(cell.without(cut, next(iter(runs.values())).case["T"]) or cell, {})
        if whole is not runs and runs.keys() == whole.keys() == set(seeds):
            pairs.append((runs, whole))
    if len(seeds) < 2 or not pairs:
        return None
    noise = max(math.hypot(*(sampling_noise(tuple(runs.values())) for runs in pair)) for pair in pairs)
    found = of_seeds([statistics.fmean(_number(runs[s]) - _number(whole[s]) for runs, whole in pairs) for s in seeds], noise)
    holds: Holds = "cannot tell"
    if found.low > 0 or found.high < 0:
        holds = "yes" if sign * found.value > 0 else "no"
    effect = f"effect size {found.value / found.spread:.2f}" if found.spread else "no spread"
    reason = (
        f"change by the cut in {cut} {found.value:+.2f}, 95 % interval {found.low:.2f} to {found.high:.2f}, "
        f"of it {noise:.2f} to either side by the test set's size, n = {len(seeds)} seeds, "
        f"{len(pairs)} pairs of cells each, {effect}"
    )
    used = {id(r): r for pair in pairs for runs in pair for r in runs.values()}
    return Finding(holds, found.value, reason, tuple(used.values()), found.spread, len(seeds))


def some_setting(claim: Claim, measure: Mapping[str, Any], evidence: Evidence) -> Finding | Missing:
    """Some setting of ``algorithm`` changes every quantity of ``reports`` against BPTT as reported (see bench/inverse.py).

    ``reports``: {quantity: [change in per cent, tolerance in points]}; each may hold in any convention of counting. Of a search
    that most reports would pass, nothing follows: where its chance level is above LARGEST_CHANCE the claim is undecidable. That
    some setting of many agrees makes a report possible, not reproduced: "partly" at most. That none does says nothing of the
    settings not searched: "cannot tell".
    """
    records: list[Record] = []
    lost: set[str] = set()
    for metric in sorted({convention.metric for convention in CONVENTIONS}):
        group = evidence.all({"probe": "cost", "metric": metric, "backend": "native"}, claim.scale, free=None)
        if group is not None:
            records += group.records
            conventions = [convention for convention in CONVENTIONS if convention.metric == metric]
            lost |= {*group.lost, *(r.key for r in group.records if not all(finite(c.of(r)) for c in conventions))}
    found = settings(records, measure["algorithm"])
    reports = {quantity: Report(*bounds) for quantity, bounds in measure["reports"].items()}
    found = [setting for setting in found if all(setting.has(quantity) for quantity in reports)]
    if not found:
        return Missing(f"cost of {measure['algorithm']} and of BPTT beside it")
    agreeing, near, chance = at_once(found, reports), nearest(found, reports), chance_level(found, reports)
    reason = f"{len(agreeing)} of {len(found)} settings agree in some convention of counting; nearest {near}, "
    reason += f"{_short(round(distance(near, reports), 3))} points off at most; of reports drawn within 10 points of this one "
    reason += f"{'at most ' if len(reports) > 1 else ''}{100 * chance:.2g} % would be met"
    holds: Holds = "partly" if agreeing else "cannot tell"
    if chance > LARGEST_CHANCE:
        holds, reason = "undecidable", f"{reason}, more than {100 * LARGEST_CHANCE:.0f} %: the search decides nothing"
    elif not agreeing:
        reason += "; of settings not searched that says nothing"
    return _capped(
        Finding(holds, len(agreeing), reason, _of(near, records), n=len(found)), Group(tuple(records), tuple(sorted(lost)))
    )


@dataclass(frozen=True)
class Rule:
    """A rule and what it takes: settings of ``measure`` that it must or may have, fields that the claim must have."""

    find: Callable[[Claim, Mapping[str, Any], Evidence], Finding | Missing]
    must: tuple[str, ...] = ("select",)
    may: tuple[str, ...] = ()
    of_claim: tuple[str, ...] = ()


RULES = {
    "within": Rule(within, may=("over", "factor", "partly", "boasts"), of_claim=("value", "tolerance")),
    "ratio": Rule(ratio, ("select", "over", "low", "high"), ("boasts",)),
    "memory_ratio": Rule(memory_ratio, ("select", "over", "low", "high"), ("boasts",)),
    "equal": Rule(equal, of_claim=("value",)),
    "flat_in_T": Rule(flat_in_T, ("select", "from_T", "to_T")),
    "affine_in_T": Rule(affine_in_T, ("select", "from_T", "to_T")),
    "at_least": Rule(at_least, ("select", "over")),
    "positive": Rule(positive),
    "lowered_by": Rule(lowered_by, ("select", "cut")),
    "raised_by": Rule(raised_by, ("select", "cut")),
    "some_setting": Rule(some_setting, ("algorithm", "reports")),
}


# --------------------------------------------------------------------------- what rules share


def _against(found: Estimate, low: float, high: float, boasts: str | None) -> Holds:
    """The interval against the claim's, ends rounded so that a bound met in decimals is met."""
    least, most = round(found.low, 9), round(found.high, 9)
    low, high = round(low, 9), round(high, 9)
    if low <= least and most <= high:
        return "yes"
    if least > high:
        return "exceeded" if boasts == "more" else "no"
    if most < low:
        return "exceeded" if boasts == "less" else "no"
    return "cannot tell"


def _worst(
    claim: Claim, measure: Mapping[str, Any], evidence: Evidence, one: Callable[[Group, Group | None], Finding]
) -> Finding | Missing:
    """The worst finding over every recipe that the selectors match, all of them told."""
    left: Sequence[Group | None] = evidence.runs(measure["select"], claim.scale)
    right: Sequence[Group | None] = evidence.runs(measure["over"], claim.scale) if "over" in measure else [None]
    if not left:
        return Missing(_words(measure["select"]))
    if not right:
        return Missing(_words(measure["over"]))
    findings = []
    for mine, other in product(left, right):
        assert mine is not None, "there are groups of select"
        sides = [side for side in (mine, other) if side is not None]
        if all(side.records for side in sides):
            finding = one(mine, other)
        else:
            finding = Finding("cannot tell", None, "a recipe without a run", tuple(r for s in sides for r in s.records), n=0)
        findings.append(_capped(finding, *sides))
    return _the_worst(findings)


def _the_worst(findings: Sequence[Finding]) -> Finding:
    worst = min(findings, key=lambda finding: _WORST_FIRST.index(finding.holds))
    if len(findings) == 1:
        return worst
    told = "; ".join(f"{_recipe(f)}: {f.holds}, {f.reason}" for f in findings)
    used = {id(record): record for finding in findings for record in finding.records}
    return replace(
        worst,
        reason=f"worst of {len(findings)} recipes that match: {told}",
        records=tuple(used.values()),
        complete=all(finding.complete for finding in findings),
    )


def _capped(finding: Finding, *groups: Group) -> Finding:
    """What lacks a planned run is no better than "cannot tell"; how many there are is told."""
    told = "; ".join(dict.fromkeys(group.told for group in groups if group.lost))
    if not told:
        return finding
    good = _WORST_FIRST.index(finding.holds) > _WORST_FIRST.index("cannot tell")
    holds: Holds = "cannot tell" if good else finding.holds
    reason = f"{finding.reason}; {told}" + (", which cannot decide it" if good else "")
    return replace(finding, holds=holds, reason=reason, complete=False)


def _over_T(
    claim: Claim, measure: Mapping[str, Any], evidence: Evidence, one: Callable[[Group, str], Finding]
) -> Finding | Missing:
    first, last = measure["from_T"], measure["to_T"]
    findings = []
    for curve in evidence.curves(measure["select"], claim.scale, first, last):
        steps = [r.case["T"] for r in curve.records]
        if len(steps) >= 3 and (steps[0], steps[-1]) == (first, last):
            findings.append(_capped(one(curve, f"{len(steps)} points from T = {first} to {last}"), curve))
        elif curve.lost:
            findings.append(_capped(Finding("cannot tell", None, f"no curve over T: there are {steps}", curve.records), curve))
    if not any(finding.measured is not None for finding in findings):
        return Missing(f"{_words(measure['select'])} at T = {first}, {last} and between")
    return _the_worst(findings)


def _finding(holds: Holds, found: Estimate, reason: str, left: Group, right: Group | None) -> Finding:
    records = (*left.records, *(right.records if right else ()))
    interval = f"; {found.told}" if found.told else ""
    return Finding(holds, found.value, reason + interval, records, found.spread, len(left.records))


def _ratio(found: Estimate, measure: Mapping[str, Any], what: str, left: Group, right: Group) -> Finding:
    holds = _against(found, measure["low"], measure["high"], measure.get("boasts"))
    reason = f"{what} {_short(found.value)}, {_short(measure['low'])} to {_short(measure['high'])} allowed ({_sides(measure)})"
    return _finding(holds, found, reason, left, right)


def _of_cuda(measure: Mapping[str, Any], metric: str) -> dict[str, Any]:
    """The measure with both sides' peaks as CUDA's allocator tells them."""
    sides = {side: {**measure[side], "probe": "cuda-memory", "metric": metric, "device": "gpu"} for side in ("select", "over")}
    return {**measure, **sides}


def _in_part(records: Sequence[Record]) -> bool:
    return any(told_part(record) for record in records)


def told_part(record: Record) -> str:
    """Which part of its data set a record is of, in words; empty where it is of the whole."""
    options = record.case["options"]
    asked = [f"{options[name]} {name.replace('_', ' ')}" for name in ("train_images", "test_images") if name in options]
    return str(record.detail.get("part", "")) or " and ".join(asked)


def _of(setting: Setting, records: Sequence[Record]) -> tuple[Record, ...]:
    place = (setting.network, setting.T, setting.batch, dict(setting.options))
    return tuple(r for r in records if (r.case["network"], r.case["T"], r.case["batch"], r.case["options"]) == place)


def _recipe(finding: Finding) -> str:
    keys = [record.key for record in finding.records]
    return keys[0] if keys else "no run"


def _number(record: Record) -> float:
    return float(record.value)  # type: ignore[arg-type]  # Evidence gives finite numbers alone


def _exact(record: Record) -> Fraction:
    return Fraction(record.value)  # type: ignore[arg-type]  # as above


def printed_number(text: str) -> tuple[Decimal, int, int]:
    """(number, decimal places, unit) of a number as printed: "9.2M" is (9.2, 1, 1000000).

    A spread after it, as in "93.52±0.06", is left aside. Raises ValueError where the text begins with no number.
    """
    found = re.match(r"≈?\s*([+-]?\d+(?:\.(\d+))?)\s*([kMG]?)(?!\w|\.\d)", text)
    if found is None:
        raise ValueError(f"{text!r} does not begin with a number")
    units = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
    return Decimal(found[1]), len(found[2] or ""), units[found[3]]


def _whole(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)


def _short(number: float) -> str:
    value = float(number)
    return f"{value:,.0f}" if value.is_integer() and abs(value) >= 1e4 else f"{value:.4g}"


def _words(selector: Selector) -> str:
    names = ("metric", "dataset", "network", "algorithm", "backend")
    words = [str(selector[name]) for name in names if selector.get(name, "none") != "none"]
    words += [f"{name} {selector[name]}" for name in ("T", "batch", "detail") if name in selector]
    return ", ".join([*words, *(f"{name} {value}" for name, value in selector.get("options", {}).items())])


def _who(measure: Mapping[str, Any]) -> str:
    select = measure["select"]
    return " on ".join(str(select[name]) for name in ("algorithm", "backend") if name in select)


def _sides(measure: Mapping[str, Any]) -> str:
    """What is set against what: what the two selectors share of network and T, and the fields in which they differ."""
    left, right = measure["select"], measure["over"]
    differ = [name for name in {**left, **right} if left.get(name) != right.get(name)]
    shared = [str(left["network"])] if "network" in left and "network" not in differ else []
    shared += [f"T = {left['T']}"] if "T" in left and "T" not in differ else []
    sides = " against ".join(" ".join(filter(None, (_told(side, name) for name in differ))) for side in (left, right))
    return ": ".join(filter(None, (", ".join(shared), sides)))


def _told(selector: Selector, name: str) -> str:
    value = selector.get(name, "")
    if isinstance(value, Mapping):
        return ", ".join(f"{option} = {v}" for option, v in value.items() if v != "unset")
    return f"T = {value}" if name == "T" else str(value)
