"""One verdict a claim, computed from records.

How evidence is chosen: records of different machines never meet in one number; fresh evidence (made by the code as it
is) beats stale, then the higher scale, then the more recent. Runs that differ in more than the seed are never averaged. A
backend's number counts only where its equivalence gate on that network is open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bench.claims.claim import Claim, Judgement, Verdict, text
from bench.claims.evidence import Evidence, matches, rank
from bench.claims.gates import comparable, gates_of
from bench.claims.rules import RULES, Finding, Missing
from bench.records import latest
from bench.spec import SCALES, Record


@dataclass(frozen=True)
class _Candidate:
    rank: tuple[bool, int, str, str]  # fresh, scale, when, machine: the greatest is believed
    verdict: Verdict


def judge(claims: Sequence[Claim], records: Iterable[Record], fresh: Callable[[Record], bool]) -> list[Verdict]:
    """One verdict a claim, in the order of the claims. ``fresh`` says whether today's code would make the record so."""
    current = sorted(latest(records), key=lambda record: record.machine)  # so that no order of machines shows
    gates = gates_of(current)
    by_machine: dict[str, list[tuple[Record, bool]]] = {}
    for record in current:
        if record.status == "ok" and comparable(record, gates):
            by_machine.setdefault(record.machine, []).append((record, fresh(record)))
    evidence = {
        machine: (Evidence(r for r, is_fresh in known if is_fresh), Evidence(r for r, _ in known))
        for machine, known in by_machine.items()
    }
    return [_judge(claim, evidence, current) for claim in claims]


def _judge(claim: Claim, evidence: Mapping[str, tuple[Evidence, Evidence]], current: Sequence[Record]) -> Verdict:
    if claim.undecidable:
        return Verdict(claim, "undecidable", None, claim.undecidable)
    candidates: list[_Candidate] = []
    for machine, (new, whole) in evidence.items():
        for is_fresh, pool in ((True, new), (False, whole)):
            verdict = _on_one_machine(claim, machine, is_fresh, pool)
            if isinstance(verdict, _Candidate):
                candidates.append(verdict)
                break
    if not candidates:
        return Verdict(claim, "not attempted", None, _why_not(claim, current))
    best = max(candidates, key=lambda candidate: candidate.rank)
    others = [
        f"{c.verdict.machine}: {c.verdict.verdict}"
        for c in sorted(candidates, key=lambda c: c.verdict.machine)
        if c.verdict.verdict != best.verdict.verdict and c.verdict.verdict != "stale"
    ]
    if not others:
        return best.verdict
    return replace(best.verdict, reason=f"{best.verdict.reason}. On other machines: {', '.join(others)}")


def _on_one_machine(claim: Claim, machine: str, is_fresh: bool, evidence: Evidence) -> _Candidate | Missing:
    found = [RULES[part["rule"]].find(claim, part, evidence) for part in claim.parts]
    findings = [f for f in found if isinstance(f, Finding)]
    missing = [f.what for f in found if isinstance(f, Missing)]
    if not findings:
        return Missing("; ".join(missing))
    verdict: Judgement = "partly"
    if not missing and all(f.holds == "yes" for f in findings):
        verdict = "reproduced"
    elif all(f.holds == "no" for f in findings):
        verdict = "not reproduced"
    reason = "; ".join([f.reason for f in findings] + [f"not measured: {what}" for what in missing])
    used = [record for finding in findings for record in finding.records]
    if verdict == "reproduced" and any(str(r.detail.get("part", "")).startswith("simulated") for r in used):
        verdict, reason = "partly", f"{reason}; on simulated data"
    if not is_fresh:
        verdict, reason = "stale", f"the code has changed since it was measured; then: {reason}"
    scale, when = rank(used)
    one = findings[0] if len(claim.parts) == 1 else None
    return _Candidate(
        (is_fresh, scale, when, machine),
        Verdict(
            claim,
            verdict,
            one.measured if one else "; ".join(text(f.measured) for f in findings),
            reason,
            one.spread if one else None,
            one.n if one else sum(f.n for f in findings),
            SCALES[scale],
            machine,
            tuple(sorted({record.key for record in used})),
            when,
            tuple(sorted({record.run for record in used})),
        ),
    )


def _why_not(claim: Claim, current: Sequence[Record]) -> str:
    """What stood in the way, of what was tried; what deciding takes, in any case."""
    selectors = [part[side] for part in claim.parts for side in ("select", "over") if side in part]
    of_case = [{name: value for name, value in selector.items() if name != "metric"} for selector in selectors]
    failed = [r for r in current if r.status != "ok" and any(matches(s, r) for s in of_case)]
    reasons = list(dict.fromkeys(f"{r.status}: {r.reason}" for r in failed))
    weaker = {
        r.case["scale"] for r in current
        if r.status == "ok" and SCALES.index(r.case["scale"]) < SCALES.index(claim.scale)
        and any(matches(s, r) for s in selectors)
    }  # fmt: skip
    if weaker:
        reasons.append(f"what was measured at scale {max(weaker, key=SCALES.index)} cannot decide it")
    if claim.needs:
        reasons.append(f"needs {claim.needs}")
    return "; ".join(reasons) or f"no record at scale {claim.scale}"
