"""Which planned cases each claim needs."""

from __future__ import annotations

import pytest

from bench.claims import Claim
from bench.claims.rules.memory import OF_CUDA
from bench.forecast.deciding import decided_by, needed_by
from bench.plan import papers
from tests.ledger.honest import CLAIMS, PLANNED, honest

NEEDED = {
    claim: keys
    for paper in papers()
    for claim, keys in needed_by([claim for claim in CLAIMS if claim.paper == paper], PLANNED[paper]).items()
}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: f"{claim.paper}-{claim.id}")
def test_claim_needs_the_cases_whose_records_decide_it(claim: Claim) -> None:
    """And no other, but for what a GPU would show in the place of counted bytes."""
    deciding = {record.key for record in honest(claim)}
    more = {key for key in NEEDED[claim.paper, claim.id] - deciding if key.split("/")[1] not in OF_CUDA.values()}
    assert (deciding - NEEDED[claim.paper, claim.id], more) == (set(), set())


def test_number_of_another_backend_needs_its_gates() -> None:
    gates = {key for keys in NEEDED.values() for key in keys if key.split("/")[1] == "equivalence"}
    assert any("/spikingjelly/" in key for key in gates)
    assert any("/native-fast/" in key for key in gates)


def test_cases_name_the_claims_that_need_them() -> None:
    needed = {("p", "b"): frozenset({"one", "two"}), ("p", "a"): frozenset({"two"})}
    assert decided_by(needed) == {"one": [("p", "b")], "two": [("p", "b"), ("p", "a")]}
