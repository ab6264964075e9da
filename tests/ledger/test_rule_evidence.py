"""Which records a rule takes as evidence, and what it says if some are lost."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from bench.claims.evidence import Evidence, Plan
from bench.claims.rules import RULES, Finding, Missing
from tests.ledger.conftest import planned
from tests.ledger.finding import MakeClaim, MakeRecord, around, find, found, seeds


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, "many", None, True])
def test_value_that_is_not_finite_counts_as_a_lost_run(claim: MakeClaim, record: MakeRecord, bad: Any) -> None:
    c = claim("within", value=90.0, tolerance=1e9, partly=1e10)
    finding = found(c, *seeds(record, 90.0, 90.0, bad))
    assert (finding.holds, finding.n) == ("cannot tell", 2)
    assert "2 of 3 planned runs, which cannot decide it" in finding.reason
    assert isinstance(find(c, record(bad)), Missing)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_lost_seed_is_mentioned_and_improves_nothing(claim: MakeClaim, record: MakeRecord, lost: int) -> None:
    runs = seeds(record, 50.0, 90.0, 90.0)
    c = claim("within", value=90.0, tolerance=0.5)
    left = [r for i, r in enumerate(runs) if i != lost]
    assert found(c, *left, lost=[runs[lost]]).holds in ("cannot tell", "no")
    assert "2 of 3 planned runs" in found(c, *left, lost=[runs[lost]]).reason


def test_worst_of_several_recipes_decides_and_all_are_mentioned(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=90.0, tolerance=0.5)
    good, bad = around(record, 90, 0.1, batch=2), around(record, 10, 0.1, batch=1)
    finding = found(c, *good, *bad)
    assert (finding.holds, finding.n) == ("no", 3)
    assert "worst of 2 recipes" in finding.reason
    assert "b1/" in finding.reason
    assert "b2/" in finding.reason
    assert found(c, *good, lost=bad).holds == "cannot tell"


OTHER_OPTIONS = {
    "lr": 0.5,
    "alpha": 0.1,
    "optimizer": "adam",
    "weight_decay": 0.1,
    "train_images": 100,
    "test_images": 10,
    "K": 2,
}


@pytest.mark.parametrize("option", OTHER_OPTIONS)
def test_options_that_are_not_named_must_be_at_their_defaults(claim: MakeClaim, record: MakeRecord, option: str) -> None:
    c = claim("within", value=90.0, tolerance=1.0, select={"options": {"epochs": 3}})
    options = {"epochs": 3, option: OTHER_OPTIONS[option]}
    assert isinstance(find(c, *around(record, 90, 0.1, options=options)), Missing)
    named = claim("within", value=90.0, tolerance=1.0, select={"options": options})
    free = claim("within", value=90.0, tolerance=1.0, select={"options": {"epochs": 3}, "any": [option]})
    for asking in (named, free):
        assert isinstance(find(asking, *around(record, 90, 0.1, options=options)), Finding)
    assert isinstance(find(named, *around(record, 90, 0.1, options={"epochs": 3})), Missing)


def test_records_that_are_not_planned_are_no_evidence(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=90.0, tolerance=1.0)
    evidence = Evidence(around(record, 90, 0.1), Plan(planned(record(1, batch=7))))
    assert isinstance(RULES["within"].find(c, c.measure, evidence), Missing)


def test_record_with_the_key_of_another_case_is_no_evidence(claim: MakeClaim, record: MakeRecord) -> None:
    runs, cases = around(record, 90, 0.1), planned(*around(record, 90, 0.1))
    forged = [replace(r, case={**r.case, "network": "other"}) for r in runs]
    c = claim("within", value=90.0, tolerance=1.0)
    assert isinstance(RULES["within"].find(c, c.measure, Evidence(forged, Plan(cases))), Missing)


@pytest.mark.parametrize("rule", ["within", "ratio", "at_least", "memory_ratio"])
def test_missing_side_of_a_comparison_is_named(claim: MakeClaim, record: MakeRecord, rule: str) -> None:
    probe = "cost" if rule == "memory_ratio" else "training"
    c = claim(rule, value=1.0, tolerance=1.0, low=0, high=9, select={"probe": probe}, over={"algorithm": "sltt"})
    left, right = find(c, record(1, algorithm="sltt", probe=probe)), find(c, record(1, probe=probe))
    assert isinstance(left, Missing)
    assert isinstance(right, Missing)
    assert "bptt" in left.what
    assert "sltt" in right.what


@pytest.mark.parametrize("rule", ["within", "equal", "positive", "flat_in_T"])
@pytest.mark.parametrize(("scale", "there"), [("smoke", False), ("laptop", True), ("full", False)])
def test_evidence_includes_at_least_one_case_of_the_claims_scale(
    claim: MakeClaim, record: MakeRecord, rule: str, scale: str, there: bool
) -> None:
    c = claim(rule, value=1.0, tolerance=1.0, from_T=1, to_T=3, scale="laptop")
    asked = find(c, *(record(1, T=T, scale=scale) for T in (1, 2, 3)))
    assert isinstance(asked, Finding) == there


def test_selector_can_take_an_entry_of_the_detail(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=58.9, tolerance=0.01, select={"detail": "1"})
    assert found(c, *seeds(record, 0, 0, detail={"1": 58.9, "2": 0.0})).holds == "yes"
    assert isinstance(find(c, *seeds(record, 58.9, 58.9, detail={"2": 58.9})), Missing)


def test_records_of_another_metric_probe_or_network_are_no_evidence(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("positive", select={"network": "net"})
    assert isinstance(find(c, record(metric="other"), record(probe="clock"), record(network="another")), Missing)
