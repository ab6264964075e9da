"""Rules that compare measured values with reported ones: within, ratio, at_least, equal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from bench.claims.claim import Claim, Measure
from bench.claims.estimate import Estimate, of_differences, of_ratio, of_runs
from bench.claims.evidence import Evidence, Group
from bench.claims.rules.finding import Finding, Missing, against, finding_on, worst_over
from bench.claims.rules.numbers import exact, number, plain, printed_number
from bench.claims.rules.words import part_of_data, short, sides_of
from bench.record import Record


def within(claim: Claim, measure: Measure, evidence: Evidence) -> Finding | Missing:
    """|m - value| <= tolerance, m = factor * (mean over seeds of ``select`` [less the mean of ``over``]).

    ``partly``: a wider tolerance that makes it "partly". Fewer runs than reported make it "partly" too. Both numbers
    share the sampling noise of the whole test set, which then does not count; on a part of the test set it does.
    """
    assert claim.value is not None, "load_claims asks for it"
    assert claim.tolerance is not None, "load_claims asks for it"
    value, tolerance, factor = claim.value, claim.tolerance, measure.get("factor", 1)
    wider = measure.get("partly", tolerance)

    def one(left: Group, right: Group | None) -> Finding:
        runs = of_differences(left.records, right.records) if right else of_runs(left.records, sampled=_in_part(left.records))
        found = runs.scaled(factor)
        holds = against(found, value - tolerance, value + tolerance, measure.get("direction"))
        if holds not in ("yes", "exceeded"):
            loosely = against(found, value - wider, value + wider, measure.get("direction"))
            holds = "partly" if loosely == "yes" else loosely
        reason = f"{short(found.value)} against {claim.printed} {claim.unit}: "
        reason += f"{short(round(abs(found.value - value), 9))} apart, {short(tolerance)} allowed"
        reason += f", {short(wider)} for partly" if holds == "partly" else ""
        if claim.best is not None:
            reason += f"; best run {short(factor * max(map(number, left.records)))} against {short(claim.best)}"
        if holds in ("yes", "exceeded") and claim.n and len(left.records) < claim.n:
            holds, reason = "partly", f"{reason}; {len(left.records)} of the {claim.n} runs reported"
        return finding_on(holds, found, reason, left, right)

    return worst_over(claim, measure, evidence, one)


def ratio(claim: Claim, measure: Measure, evidence: Evidence) -> Finding | Missing:
    """low <= mean(select) / mean(over) <= high. ``direction``: the side on which the claim is exceeded."""

    def one(left: Group, right: Group | None) -> Finding:
        assert right is not None, "the rule must have over"
        return _ratio(of_ratio(left.records, right.records), measure, "ratio", left, right)

    return worst_over(claim, measure, evidence, one)


def at_least(claim: Claim, measure: Measure, evidence: Evidence) -> Finding | Missing:
    """mean(select) - mean(over) >= value - tolerance, either 0 where the claim gives none; never "exceeded"."""
    least = round((claim.value or 0) - (claim.tolerance or 0), 9)

    def one(left: Group, right: Group | None) -> Finding:
        assert right is not None, "the rule must have over"
        found = of_differences(left.records, right.records)
        reason = f"difference {short(round(found.value, 9))}, at least {short(least)} asked ({sides_of(measure)})"
        return finding_on(against(found, least, math.inf, None), found, reason, left, right)

    return worst_over(claim, measure, evidence, one)


def equal(claim: Claim, measure: Measure, evidence: Evidence) -> Finding | Missing:
    """The measured number, rounded to the printed precision ("9.2M": tenths of a million), equals the printed one."""
    printed, places, unit = printed_number(claim.printed)

    def one(left: Group, _: Group | None) -> Finding:
        measured = max(left.records, key=lambda r: r.when).value
        all_rounded = {round(exact(r) * 10**places / unit) for r in left.records}
        rounded = plain(Fraction(round(Fraction(measured) * 10**places / unit) * unit, 10**places))  # type: ignore[arg-type]
        reason = f"{measured:,} rounds to {rounded:,}, printed {claim.printed}"
        return Finding("yes" if all_rounded == {printed * 10**places} else "no", measured, reason, left.records)

    return worst_over(claim, measure, evidence, one)


def _ratio(found: Estimate, measure: Measure, what: str, left: Group, right: Group) -> Finding:
    holds = against(found, measure["low"], measure["high"], measure.get("direction"))
    reason = f"{what} {short(found.value)}, {short(measure['low'])} to {short(measure['high'])} allowed ({sides_of(measure)})"
    return finding_on(holds, found, reason, left, right)


def _in_part(records: Sequence[Record]) -> bool:
    return any(part_of_data(record) for record in records)
