"""Which planned cases each claim needs: those that its rules ask the evidence for, and the gates of their backends. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.case import Case
from bench.claims.claim import Claim, Selector
from bench.claims.evidence import Evidence, Plan
from bench.claims.rules import find
from bench.record import Record
from bench.speed.rows import TIMING, backend_of

ClaimId = tuple[str, str]  # paper, and the claim's id in it


def needed_by(claims: Iterable[Claim], planned: Sequence[Case]) -> dict[ClaimId, frozenset[str]]:
    """Return the keys of the planned cases of a paper that each of its claims needs; claims that none decides are left out.

    A number of another backend than native counts only if the equivalence gates of its network are open, so that these are
    needed too.
    """
    gates: dict[tuple[str, str | None], set[str]] = {}
    for case in planned:
        if case.probe == "equivalence":
            gates.setdefault((case.network, case.backend), set()).add(case.key)
    plan = Plan(planned)
    needed: dict[ClaimId, frozenset[str]] = {}
    for claim in claims:
        asked = Asked(plan)
        for part in claim.parts:
            find(claim, part, asked)
        if asked.keys:
            needed[claim.paper, claim.id] = frozenset(asked.keys.union(*(gates.get(pair, ()) for pair in asked.compared)))
    return needed


class Asked(Evidence):
    """Evidence without records that notes what a rule asks for: keys of cases, and pairs of network and backend."""

    def __init__(self, plan: Plan) -> None:
        super().__init__((), plan)
        self._planned = plan.by_key
        self.keys: set[str] = set()
        self.compared: set[tuple[str, str | None]] = set()

    def _number(self, key: str, selector: Selector) -> Record | None:
        case = self._planned[key].case
        backend = backend_of(selector["metric"]) if case["probe"] in TIMING else case["backend"]  # as bench/claims/gates.py does
        self.keys.add(key)
        self.compared.add((case["network"], backend))
        return super()._number(key, selector)


def decided_by(needed: Mapping[ClaimId, frozenset[str]]) -> dict[str, list[ClaimId]]:
    """Return the claims that need a case, by its key, in the claims' order."""
    claims: dict[str, list[ClaimId]] = {}
    for claim, keys in needed.items():
        for key in sorted(keys):
            claims.setdefault(key, []).append(claim)
    return claims
