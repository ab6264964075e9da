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

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.claims.claim import Claim
from bench.claims.evidence import Evidence
from bench.claims.rules.finding import SIDES, Finding, Holds, Missing
from bench.claims.rules.growth import affine_in_T, flat_in_T
from bench.claims.rules.memory import memory_ratio
from bench.claims.rules.numbers import printed_number
from bench.claims.rules.search import some_setting
from bench.claims.rules.sign import lowered_by, positive, raised_by
from bench.claims.rules.values import at_least, equal, ratio, within
from bench.claims.rules.words import told_part

__all__ = ["RULES", "SIDES", "Finding", "Holds", "Missing", "Rule", "printed_number", "told_part"]


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
