"""The result of a rule: how the measured interval compares with the claimed one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, get_args

from bench.claims.claim import Claim, Direction, Measure
from bench.claims.estimate import Estimate
from bench.claims.evidence import Evidence, Group
from bench.claims.rules.words import words_of
from bench.record import Record

Holds = Literal["no", "undecidable", "cannot tell", "partly", "yes", "exceeded"]  # from worst to best
WORST_FIRST: tuple[Holds, ...] = get_args(Holds)


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
    """A rule has no evidence; ``what`` names what is missing."""

    what: str


def against(found: Estimate, low: float, high: float, direction: Direction | None) -> Holds:
    """The measured interval against the claimed range; ends are rounded so that a bound equal in decimals counts as met."""
    least, most = round(found.low, 9), round(found.high, 9)
    low, high = round(low, 9), round(high, 9)
    if low <= least and most <= high:
        return "yes"
    if least > high:
        return "exceeded" if direction == "more" else "no"
    if most < low:
        return "exceeded" if direction == "less" else "no"
    return "cannot tell"


def finding_on(holds: Holds, found: Estimate, reason: str, left: Group, right: Group | None) -> Finding:
    records = (*left.records, *(right.records if right else ()))
    interval = f"; {found.described}" if found.described else ""
    return Finding(holds, found.value, reason + interval, records, found.spread, len(left.records))


def worst_over(
    claim: Claim, measure: Measure, evidence: Evidence, one: Callable[[Group, Group | None], Finding]
) -> Finding | Missing:
    """The worst finding over all recipes that the selectors match; the reason lists every one."""
    left: Sequence[Group | None] = evidence.runs(measure["select"], claim.scale)
    right: Sequence[Group | None] = evidence.runs(measure["over"], claim.scale) if "over" in measure else [None]
    if not left:
        return Missing(words_of(measure["select"]))
    if not right:
        return Missing(words_of(measure["over"]))
    findings = []
    for mine, other in product(left, right):
        assert mine is not None, "there are groups of select"
        sides = [side for side in (mine, other) if side is not None]
        if all(side.records for side in sides):
            finding = one(mine, other)
        else:
            finding = Finding("cannot tell", None, "a recipe without a run", tuple(r for s in sides for r in s.records), n=0)
        findings.append(capped(finding, *sides))
    return worst_of(findings)


def worst_of(findings: Sequence[Finding]) -> Finding:
    worst = min(findings, key=lambda finding: WORST_FIRST.index(finding.holds))
    if len(findings) == 1:
        return worst
    recipes = [_recipe(finding) for finding in findings]
    alike = len(set(recipes)) == 1  # rows of one case: their names are in the reason
    each = "; ".join(f"{'' if alike else f'{name}: '}{f.holds}, {f.reason}" for name, f in zip(recipes, findings, strict=True))
    used = {id(record): record for finding in findings for record in finding.records}
    return replace(
        worst,
        reason=f"worst of {len(findings)} recipes that match: {each}",
        records=tuple(used.values()),
        complete=all(finding.complete for finding in findings),
    )


def capped(finding: Finding, *groups: Group) -> Finding:
    """Limit a finding to "cannot tell" where a planned run is missing; the reason states how many there are."""
    lost = "; ".join(dict.fromkeys(group.described for group in groups if group.lost))
    if not lost:
        return finding
    good = WORST_FIRST.index(finding.holds) > WORST_FIRST.index("cannot tell")
    holds: Holds = "cannot tell" if good else finding.holds
    reason = f"{finding.reason}; {lost}" + (", which cannot decide it" if good else "")
    return replace(finding, holds=holds, reason=reason, complete=False)


def _recipe(finding: Finding) -> str:
    keys = [record.key for record in finding.records]
    return keys[0] if keys else "no run"
