"""One verdict per claim, computed from records.

How evidence is chosen: records that the paper plans, up to the claim's scale, from one place. A place is a machine, a device, a
number of threads and a precision: records of different places are never combined. Fresh evidence (measured by the present code)
is preferred to stale, then complete evidence (no planned run missing), then the higher scale, then the more recent. Runs that
differ in more than the seed are never averaged. A backend's number counts only if its equivalence gate on that network is open.

How parts combine: the claim is their conjunction.

| parts | verdict |
|---|---|
| all hold | reproduced; exceeded if some are exceeded |
| some hold, in part or in whole, others fail, cannot be decided or were not measured | partly |
| none holds and some fail | not reproduced |
| none holds, none fails, some were measured | cannot tell |
| none was measured | not attempted |

From best to worst: reproduced and exceeded; partly; all others, which say nothing for the claim. A record that is lost never
moves a verdict up in this order, as long as the same place decides; where places disagree, the reason names both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench import zoo
from bench.case import SCALES, Case
from bench.claims.claim import Claim, Judgement, Part, Verdict, alternatives, selectors, text
from bench.claims.evidence import Evidence, Plan, finite, matches, rank
from bench.claims.gates import comparable, gates_of
from bench.claims.rules import Finding, Missing, find, part_of_data
from bench.plan import plan
from bench.record import Record, apart
from bench.record_store import Place, latest, place_of, uncommitted
from bench.spec import BatchNorm, every_layer

ORDER: Mapping[str, int] = {"reproduced": 2, "exceeded": 2, "partly": 1}  # how much a verdict says for the claim; others: 0
MANY_PARTS = 3  # of more, a short reason counts the results
_WORDS = {
    "yes": "holds", "exceeded": "exceeded", "partly": "holds in part", "cannot tell": "cannot tell", "undecidable": "undecidable",
    "no": "fails",
}  # fmt: skip


@dataclass(frozen=True)
class _Candidate:
    rank: tuple[bool, bool, int, str, str]  # fresh, complete, scale, when, place: the greatest decides
    verdict: Verdict


def planned_by(paper: str) -> list[Case]:
    """What a paper plans at its full scale, as if every data set were available."""
    return plan(paper, SCALES[-1], lambda _: True)


def judge(
    claims: Sequence[Claim],
    records: Iterable[Record],
    fresh: Callable[[Record], bool],
    planned: Callable[[str], Sequence[Case]] = planned_by,
) -> list[Verdict]:
    """One verdict per claim, in the order of the claims.

    ``fresh`` says whether today's code would make the record so, ``planned`` what a paper measures: nothing else is evidence.
    """
    cases = {claim.paper: planned(claim.paper) for claim in claims}
    plans = {paper: Plan(of_paper) for paper, of_paper in cases.items()}
    current = sorted(latest(records), key=place_of)  # so that no order of machines shows
    of_plans = (record for record in current if any(plan.has(record) for plan in plans.values()))
    gates = gates_of(of_plans, fresh, [case for of_paper in cases.values() for case in of_paper])
    by_place: dict[Place, list[tuple[Record, bool]]] = {}
    for record in current:
        if record.status == "ok" and comparable(record, gates):
            by_place.setdefault(place_of(record), []).append((record, fresh(record)))
    evidence = {
        (paper, place): (Evidence((r for r, is_fresh in known if is_fresh), of_paper), Evidence((r for r, _ in known), of_paper))
        for paper, of_paper in plans.items()
        for place, known in by_place.items()
    }
    return [
        _judge(claim, {place: pools for (paper, place), pools in evidence.items() if paper == claim.paper}, current)
        for claim in claims
    ]


def _judge(claim: Claim, evidence: Mapping[Place, tuple[Evidence, Evidence]], current: Sequence[Record]) -> Verdict:
    if claim.undecidable:
        return Verdict(claim, "undecidable", None, claim.undecidable)
    candidates: list[_Candidate] = []
    for place, (fresh_alone, everything) in evidence.items():
        for is_fresh, pool in ((True, fresh_alone), (False, everything)):
            verdict = _in_one_place(claim, place, is_fresh, pool)
            if isinstance(verdict, _Candidate):
                candidates.append(verdict)
                break
    if not candidates:
        return Verdict(claim, "not attempted", None, _why_not(claim, current))
    best = max(candidates, key=lambda candidate: candidate.rank)
    disagreeing = [
        f"{c.verdict.machine}{_device(c.verdict, best.verdict)}: {c.verdict.verdict}"
        for c in sorted(candidates, key=lambda c: (c.verdict.machine, c.verdict.device))
        if c.verdict.verdict != best.verdict.verdict and c.verdict.verdict != "stale"
    ]
    if not disagreeing:
        return best.verdict
    elsewhere = f". Elsewhere: {', '.join(disagreeing)}"
    return replace(best.verdict, reason=best.verdict.reason + elsewhere, in_short=best.verdict.in_short + elsewhere)


def _device(other: Verdict, best: Verdict) -> str:
    return f" ({other.device})" if other.machine == best.machine else ""


def _in_one_place(claim: Claim, place: Place, is_fresh: bool, evidence: Evidence) -> _Candidate | Missing:
    found = [find(claim, part, evidence) for part in claim.parts]
    findings = [f for f in found if isinstance(f, Finding)]
    missing = [f.what for f in found if isinstance(f, Missing)]
    if not findings:
        return Missing("; ".join(missing))
    verdict = combined(findings, len(missing))
    reasons = [f.reason if len(claim.parts) == 1 else f"{_WORDS[f.holds]}: {f.reason}" for f in findings]
    reason = "; ".join(reasons + [f"not measured: {what}" for what in missing])
    used = [record for finding in findings for record in finding.records]
    limits, before = _limits(claim, used), ""
    if limits:
        before = f"{'exceeded, but ' if verdict == 'exceeded' else ''}{', '.join(limits)}: "
        verdict = "partly" if ORDER.get(verdict, 0) > ORDER["partly"] else verdict
    after = "; measured from an uncommitted tree" if any(uncommitted(record) for record in used) else ""
    if not is_fresh:
        verdict, before = "stale", f"the code has changed since it was measured; then: {verdict}, {before}"
    scale, when = rank(used)
    only = findings[0] if len(claim.parts) == 1 else None
    return _Candidate(
        (is_fresh, not missing and all(f.complete for f in findings), scale, when, str(place)),
        Verdict(
            claim,
            verdict,
            only.measured if only else "; ".join(text(f.measured) or "–" for f in findings),
            before + reason + after,
            only.spread if only else None,
            only.n if only else sum(f.n for f in findings),
            evidence_scale=SCALES[scale],
            machine=place[0],
            device=place[1],
            when=when,
            runs=tuple(sorted({record.run for record in used})),
            keys=tuple(sorted({record.key for record in used})),
            parts=tuple(
                Part(measure, finding.measured, finding.spread, f"{_WORDS[finding.holds]}: {finding.reason}")
                for measure, finding in zip(claim.parts, found, strict=True)
                if isinstance(finding, Finding)
            ),
            in_short=before + (_counted(findings, len(missing)) if len(claim.parts) > MANY_PARTS else reason) + after,
        ),
    )


def _counted(findings: Sequence[Finding], missing: int) -> str:
    """How many parts had which result, from best to worst."""
    words = [_WORDS[finding.holds] for finding in findings] + ["not measured"] * missing
    counted = Counter(words)
    return f"of {len(words)} parts: " + ", ".join(
        f"{name} {counted[name]}" for name in (*_WORDS.values(), "not measured") if counted[name]
    )


def combined(findings: Sequence[Finding], missing: int) -> Judgement:
    """The verdict on the conjunction of a claim's parts, of which ``missing`` were not measured at all."""
    holds = [finding.holds for finding in findings]
    if not missing and all(h in ("yes", "exceeded") for h in holds):
        return "exceeded" if "exceeded" in holds else "reproduced"
    if any(h in ("yes", "exceeded", "partly") for h in holds):
        return "partly"
    if "no" in holds:
        return "not reproduced"
    return "undecidable" if "undecidable" in holds else "cannot tell"


def _limits(claim: Claim, used: Sequence[Record]) -> list[str]:
    """What keeps a claim from being more than "partly", in words."""
    parts = sorted({part for record in used if (part := part_of_data(record))})
    simulated = [part for part in parts if part.startswith("simulated")]
    found = ["on simulated data"] if simulated else []
    found += [f"on a part of the data ({', '.join(parts)})"] if len(parts) > len(simulated) else []
    found += ["with batch norm over each process's own samples"] if any(map(_norms_apart, used)) else []
    return found + ([f"on assumed {claim.assumed}"] if claim.assumed else [])


def _norms_apart(record: Record) -> bool:
    """Whether several processes trained a network, each with its own statistics of batch norm (bench/parallel/step.py)."""
    network = record.case["network"]
    return apart(record.device)[0] > 1 and any(isinstance(layer, BatchNorm) for layer in every_layer(zoo.spec(network).layers))


def _why_not(claim: Claim, current: Sequence[Record]) -> str:
    """Why the claim was not decided: failures of the cases tried, and what is needed to decide it."""
    asked = selectors([only for part in claim.parts for only in alternatives(part)])
    failed = [r for r in current if r.status != "ok" and any(matches(s, r.case) for s in asked)]
    reasons = list(dict.fromkeys(f"{r.status}: {r.reason}" for r in failed))
    measured = [
        r for r in current
        if r.status == "ok" and any(r.metric == s["metric"] and matches(s, r.case) for s in asked)
    ]  # fmt: skip
    if any(not finite(r.value) and not any("detail" in s for s in asked) for r in measured):
        reasons.append("a run gave no finite number")
    weaker = {r.case["scale"] for r in measured if SCALES.index(r.case["scale"]) < SCALES.index(claim.scale)}
    if weaker:
        reasons.append(f"what was measured at scale {max(weaker, key=SCALES.index)} cannot decide it")
    if claim.needs:
        reasons.append(f"needs {claim.needs}")
    return "; ".join(reasons) or f"no record at scale {claim.scale}"
