"""Rules on how an exact count grows with the number of time steps T: flat_in_T, affine_in_T."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from bench.claims.claim import Claim, Measure
from bench.claims.evidence import Evidence, Group
from bench.claims.rules.finding import Finding, Missing, capped, worst_of
from bench.claims.rules.numbers import exact, plain
from bench.claims.rules.words import algorithm_on_backend, short, words_of


def flat_in_T(claim: Claim, measure: Measure, evidence: Evidence) -> Finding | Missing:
    """All values from T = from_T to to_T are the same, exactly; both ends and at least one T between them are required."""

    def one(curve: Group, points: str) -> Finding:
        values = [exact(r) for r in curve.records]
        growth = max(values) - min(values)
        compared = "the same in all" if growth == 0 else f"differs by {short(float(growth))}"
        reason = f"{points}: {compared} ({algorithm_on_backend(measure)})"
        return Finding("yes" if growth == 0 else "no", plain(growth), reason, curve.records, n=len(values))

    return _over_T(claim, measure, evidence, one)


def affine_in_T(claim: Claim, measure: Measure, evidence: Evidence) -> Finding | Missing:
    """The slope between neighbouring T is exactly the same positive number everywhere; required T as in flat_in_T."""

    def one(curve: Group, points: str) -> Finding:
        records = curve.records
        slopes = [(exact(b) - exact(a)) / (b.case["T"] - a.case["T"]) for a, b in pairwise(records)]
        if len(set(slopes)) > 1:
            span = f"{short(float(min(slopes)))} to {short(float(max(slopes)))}"
            return Finding(
                "no", span, f"{points}: the slope varies from {span} ({algorithm_on_backend(measure)})", records, n=len(records)
            )
        reason = f"{points}: exactly {plain(slopes[0])} per step ({algorithm_on_backend(measure)})"
        return Finding("yes" if slopes[0] > 0 else "no", plain(slopes[0]), reason, records, n=len(records))

    return _over_T(claim, measure, evidence, one)


def _over_T(claim: Claim, measure: Measure, evidence: Evidence, one: Callable[[Group, str], Finding]) -> Finding | Missing:
    first, last = measure["from_T"], measure["to_T"]
    findings = []
    for curve in evidence.curves(measure["select"], claim.scale, first, last):
        steps = [r.case["T"] for r in curve.records]
        if len(steps) >= 3 and (steps[0], steps[-1]) == (first, last):
            findings.append(capped(one(curve, f"{len(steps)} points from T = {first} to {last}"), curve))
        elif curve.lost:
            findings.append(capped(Finding("cannot tell", None, f"no curve over T: there are {steps}", curve.records), curve))
    if not any(finding.measured is not None for finding in findings):
        return Missing(f"{words_of(measure['select'])} at T = {first}, {last} and between")
    return worst_of(findings)
