"""The rule some_recipe: which recipes of a stated family train to the accuracies that a paper reports without its recipe."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from itertools import pairwise

from bench.claims.claim import Claim, Measure
from bench.claims.evidence import Evidence, Group
from bench.claims.rules.finding import Finding, Holds, Missing, capped
from bench.claims.rules.numbers import number
from bench.claims.rules.search import LARGEST_CHANCE
from bench.claims.rules.words import short
from bench.record import Record
from bench.setting_search import NEAR

Recipe = Mapping[str, float]  # mean accuracy over seeds, by algorithm


def some_recipe(claim: Claim, measure: Measure, evidence: Evidence) -> Finding | Missing:
    """Some recipe trains every algorithm of ``reports`` to its accuracy: {algorithm: [accuracy, tolerance]}, all at once.

    A recipe is a network whose name begins with ``family`` and the options of its training; its accuracies are means over seeds.
    The chance level is the share of reports, drawn evenly within 10 points of these and below 100, that some recipe would meet
    as well, as a bound from above: the recipes' shares added up, and no more than that of any algorithm alone. Above
    LARGEST_CHANCE the search decides nothing. An agreeing recipe shows that the report is possible: "partly" at most; if none
    agrees, another still might: "cannot tell". The reason also says in how many recipes the algorithms have the reported order.
    """
    group = evidence.all({"probe": "training", "metric": "test_accuracy", "backend": "native"}, claim.scale, free=None)
    family, reports = measure["family"], measure["reports"]
    records = [r for r in group.records if r.case["network"].startswith(family)] if group else []
    lost = tuple(key for key in group.lost if f"/{family}" in key) if group else ()
    found = [recipe for recipe in recipes(records) if set(reports) <= set(recipe)]
    if not found:
        return Missing(f"trainings of {family}")
    agreeing = [r for r in found if all(abs(r[name] - value) <= tolerance for name, (value, tolerance) in reports.items())]
    chance = chance_of(found, reports)
    ordered = sorted(reports, key=lambda name: -reports[name][0])
    in_order = [r for r in found if all(r[a] >= r[b] for a, b in pairwise(ordered))]
    off = min(max(abs(r[name] - value) for name, (value, _) in reports.items()) for r in found)
    reason = (
        f"{len(agreeing)} of {len(found)} recipes train all of {', '.join(reports)} to what is reported, nearest {short(off)} "
    )
    reason += f"{claim.unit} off at most; of reports drawn near these at most {100 * chance:.2g} % would be met; "
    reason += f"order {' >= '.join(ordered)} in {len(in_order)} of {len(found)}, by chance in 1 of {math.factorial(len(ordered))}"
    holds: Holds = "partly" if agreeing else "cannot tell"
    if chance > LARGEST_CHANCE:
        holds, reason = "undecidable", f"{reason}; the search decides nothing"
    return capped(Finding(holds, len(agreeing), reason, tuple(records), n=len(found)), Group(tuple(records), lost))


def recipes(records: Sequence[Record]) -> list[Recipe]:
    """The mean of each algorithm over seeds, by network and options, in a fixed order."""
    values: dict[str, dict[str, list[float]]] = {}
    for record in records:
        recipe = json.dumps(
            [record.case["network"], record.case["T"], record.case["batch"], record.case["options"]], sort_keys=True
        )
        values.setdefault(recipe, {}).setdefault(record.case["algorithm"], []).append(number(record))
    return [{name: statistics.fmean(each) for name, each in by.items()} for _, by in sorted(values.items())]


def chance_of(found: Sequence[Recipe], reports: Mapping[str, Sequence[float]]) -> float:
    """A bound from above of the share of reports near ``reports`` that some recipe meets."""
    alone = [_met([r[name] for r in found], *report) for name, report in reports.items()]
    joint = sum(math.prod(_met([r[name]], *report) for name, report in reports.items()) for r in found)
    return min(*alone, joint) if len(alone) > 1 else alone[0]


def _met(means: Sequence[float], value: float, tolerance: float) -> float:
    """The share of [value - NEAR, value + NEAR], cut at 100, within the tolerance of some mean."""
    low, high = value - NEAR, min(value + NEAR, 100.0)
    covered, reached = 0.0, low
    for mean in sorted(means):
        start, end = max(mean - tolerance, reached), min(mean + tolerance, high)
        covered += max(end - start, 0.0)
        reached = max(reached, end)
    return covered / (high - low)
