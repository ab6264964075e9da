"""The rule some_setting: whether some setting of an algorithm gives what a paper reports."""

from __future__ import annotations

from collections.abc import Sequence

from bench.claims.claim import Claim, Measure
from bench.claims.evidence import Evidence, Group, finite
from bench.claims.rules.finding import Finding, Holds, Missing, capped
from bench.claims.rules.words import short
from bench.record import Record
from bench.setting_search import CONVENTIONS, Report, Setting, agreeing_with_all, chance_level, distance, nearest, settings

LARGEST_CHANCE = 0.05  # above this share of nearby targets that also pass, a search decides nothing


def some_setting(claim: Claim, measure: Measure, evidence: Evidence) -> Finding | Missing:
    """Some setting of ``algorithm`` changes every quantity of ``reports`` against BPTT as reported (see bench/setting_search.py).

    ``reports``: {quantity: [change in per cent, tolerance in points]}; each may hold in any convention of counting. If the
    chance level of the search exceeds LARGEST_CHANCE, the search would accept too many reports and the claim is undecidable.
    An agreeing setting shows that the report is possible, not reproduced: "partly" at most. If none agrees, another setting
    still might: "cannot tell".
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
    agreeing, near, chance = agreeing_with_all(found, reports), nearest(found, reports), chance_level(found, reports)
    reason = f"{len(agreeing)} of {len(found)} settings agree in some convention of counting; nearest {near}, "
    reason += f"{short(round(distance(near, reports), 3))} points off at most; of reports drawn within 10 points of this one "
    reason += f"{'at most ' if len(reports) > 1 else ''}{100 * chance:.2g} % would be met"
    holds: Holds = "partly" if agreeing else "cannot tell"
    if chance > LARGEST_CHANCE:
        holds, reason = "undecidable", f"{reason}, more than {100 * LARGEST_CHANCE:.0f} %: the search decides nothing"
    elif not agreeing:
        reason += "; this says nothing about settings that were not searched"
    return capped(
        Finding(holds, len(agreeing), reason, _of(near, records), n=len(found)), Group(tuple(records), tuple(sorted(lost)))
    )


def _of(setting: Setting, records: Sequence[Record]) -> tuple[Record, ...]:
    place = (setting.network, setting.T, setting.batch, dict(setting.options))
    return tuple(r for r in records if (r.case["network"], r.case["T"], r.case["batch"], r.case["options"]) == place)
