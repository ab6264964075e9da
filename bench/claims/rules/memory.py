"""The rule memory_ratio: a ratio of peak GPU memory."""

from __future__ import annotations

import math
from dataclasses import replace

from bench.claims.claim import Claim, Measure, Selector
from bench.claims.estimate import Estimate, of_runs
from bench.claims.evidence import Evidence, Group
from bench.claims.rules.finding import Finding, Missing, against, finding_on, worst_over
from bench.claims.rules.values import ratio
from bench.claims.rules.words import short, sides_of
from bench.overhead import OVERHEAD

OF_CUDA = {"cost": "cuda-memory", "cost-half": "cuda-memory-half"}  # by the probe that counts live bytes


def memory_ratio(claim: Claim, measure: Measure, evidence: Evidence) -> Finding | Missing:
    """low <= memory of ``select`` / memory of ``over`` <= high, as a GPU reports memory; both select peak live bytes.

    Live bytes in half precision (probe cost-half) are compared with CUDA's peaks in half precision.

    Where CUDA's peaks of the same cases were measured, they decide: allocated and reserved bytes must give the same answer.
    Otherwise live bytes decide, but only if no overhead of a GPU (bench/overhead.py) can change the answer.
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
            return finding_on("cannot tell", Estimate(math.nan, -math.inf, math.inf), "no live bytes", left, right)
        low, high = OVERHEAD.ratio_interval(top, bottom)
        holds = against(Estimate(top / bottom, low, high), measure["low"], measure["high"], measure.get("direction"))
        reason = (
            f"ratio {short(top / bottom)} of live bytes, {low:.3g} to {high:.3g} with what a GPU holds beside them; "
            f"{short(measure['low'])} to {short(measure['high'])} allowed ({sides_of(measure)})"
        )
        return finding_on(holds, Estimate(top / bottom, top / bottom, top / bottom), reason, left, right)

    return worst_over(claim, measure, evidence, one)


def _of_cuda(measure: Measure, metric: str) -> Measure:
    """The measure with both sides taken from CUDA's allocator."""

    def by_cuda(selector: Selector) -> Selector:
        return {**selector, "probe": OF_CUDA[selector["probe"]], "metric": metric, "device": "gpu"}

    return {**measure, "select": by_cuda(measure["select"]), "over": by_cuda(measure["over"])}
