"""Rules: how the evidence from one place decides a claim. RULES lists them by their names in claims.toml.

A rule compares the interval of the measured value (see estimate.py) with the claimed range:

| the interval | the rule's finding |
|---|---|
| inside the claimed range | yes |
| outside, on the side that is better than claimed (``direction``: "more" or "less") | exceeded |
| outside otherwise | no |
| across a bound | cannot tell |

Within one part of a claim every planned run must be there. A missing run could have had any value, so the finding is then
"cannot tell" at best. Where a selector matches several recipes, or ``over`` lists several values of a field, each is judged and
listed in the reason, and the worst counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.claims.claim import Claim, Measure, alternatives
from bench.claims.evidence import Evidence
from bench.claims.rules.equivalence import equivalent
from bench.claims.rules.finding import Finding, Holds, Missing, worst_of
from bench.claims.rules.growth import affine_in_T, flat_in_T
from bench.claims.rules.memory import memory_ratio
from bench.claims.rules.numbers import printed_number
from bench.claims.rules.recipes import some_recipe
from bench.claims.rules.search import some_setting
from bench.claims.rules.sign import lowered_by, positive, raised_by
from bench.claims.rules.values import at_least, equal, ratio, within
from bench.claims.rules.words import part_of_data

__all__ = ["RULES", "Finding", "Holds", "Missing", "Rule", "find", "part_of_data", "printed_number"]


@dataclass(frozen=True)
class Rule:
    """A rule and its arguments: the required and the optional settings of ``measure``, and the required fields of the claim."""

    find: Callable[[Claim, Measure, Evidence], Finding | Missing]
    must: tuple[str, ...] = ("select",)
    may: tuple[str, ...] = ()
    of_claim: tuple[str, ...] = ()


RULES = {
    "within": Rule(within, may=("over", "factor", "partly", "direction"), of_claim=("value", "tolerance")),
    "equivalent": Rule(equivalent, of_claim=("value", "tolerance")),
    "ratio": Rule(ratio, ("select", "over", "low", "high"), ("direction",)),
    "memory_ratio": Rule(memory_ratio, ("select", "over", "low", "high"), ("direction",)),
    "equal": Rule(equal, of_claim=("value",)),
    "flat_in_T": Rule(flat_in_T, ("select", "from_T", "to_T")),
    "affine_in_T": Rule(affine_in_T, ("select", "from_T", "to_T")),
    "at_least": Rule(at_least, ("select", "over")),
    "positive": Rule(positive),
    "lowered_by": Rule(lowered_by, ("select", "cut")),
    "raised_by": Rule(raised_by, ("select", "cut")),
    "some_setting": Rule(some_setting, ("algorithm", "reports")),
    "some_recipe": Rule(some_recipe, ("family", "reports")),
}


def find(claim: Claim, measure: Measure, evidence: Evidence) -> Finding | Missing:
    """What a measure's rule finds; of several alternatives (``claim.alternatives``) the worst, as all of them must hold."""
    rule, each = RULES[measure["rule"]], alternatives(measure)
    found = [rule.find(claim, one, evidence) for one in each]
    if len(found) == 1:
        return found[0]
    findings, missing = [f for f in found if isinstance(f, Finding)], [f for f in found if isinstance(f, Missing)]
    if not findings:
        return Missing("; ".join(f.what for f in missing))
    lost = [Finding("cannot tell", None, f"not measured: {f.what}", (), n=0, complete=False) for f in missing]
    return worst_of([*findings, *lost])
