"""The rule equivalent: a value reported on one draw of a generated data set, against ours on several draws."""

from __future__ import annotations

import statistics

from bench.claims.claim import Claim, Measure
from bench.claims.estimate import of_draws
from bench.claims.evidence import Evidence, Group
from bench.claims.rules.finding import Finding, Holds, Missing, against, worst_over
from bench.claims.rules.numbers import number
from bench.claims.rules.words import short

LEAST_DRAWS = 3


def equivalent(claim: Claim, measure: Measure, evidence: Evidence) -> Finding | Missing:
    """Two one-sided tests at 5 %: whether |m - value| < tolerance, where value is of another draw than any of ours.

    ``select`` has ``draws``: data sets of one definition and different seeds, each with its own manifolds and test set. The runs
    on a draw are averaged; m is the mean over the M draws, s their standard deviation. A further draw, such as the paper's, lies
    in m +- t s sqrt(1 + 1 / M) with 90 %, t Student's with M - 1 degrees of freedom. "yes": the whole interval is within the
    tolerance of the reported value, "no": none of it, else "cannot tell". So both are wrong in at most 5 % of cases
    (tests/ledger/test_error_rates.py). The spread over draws contains that of seeds and test sets. Fewer than three draws cannot
    tell; fewer runs than reported make it "partly".
    """
    assert claim.value is not None, "load_claims asks for it"
    assert claim.tolerance is not None, "load_claims asks for it"
    value, margin = claim.value, claim.tolerance

    def one(group: Group, _: Group | None) -> Finding:
        by_draw: dict[str, list[float]] = {}
        for record in group.records:
            by_draw.setdefault(record.case["dataset"], []).append(number(record))
        found = of_draws([statistics.fmean(values) for values in by_draw.values()])
        holds: Holds = "cannot tell"
        if len(by_draw) >= LEAST_DRAWS:
            holds = against(found, value - margin, value + margin, None)
        apart = short(round(abs(found.value - value), 9))
        reason = f"{short(found.value)} over {len(by_draw)} draws of the data set, {len(group.records)} runs, against "
        reason += f"{claim.printed} {claim.unit}: {apart} apart, equivalent within {short(margin)}"
        if found.spread is not None:
            reason += f"; a further draw lies in {found.low:.4g} to {found.high:.4g} with 90 %, spread {found.spread:.2g}"
        if holds == "yes" and claim.n and len(group.records) < claim.n:
            holds, reason = "partly", f"{reason}; {len(group.records)} of the {claim.n} runs reported"
        return Finding(holds, found.value, reason, group.records, found.spread, len(group.records))

    return worst_over(claim, measure, evidence, one)
