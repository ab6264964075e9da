"""Which records decide a verdict: gates, machines, age."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.claims import judge
from bench.record import Record
from tests.ledger.conftest import case_of, planned
from tests.ledger.judging import MakeClaim, MakeRecord, accuracy, runs, verdict


def test_judge_returns_one_verdict_per_claim_in_order(claim: MakeClaim, record: MakeRecord) -> None:
    claims = [
        accuracy(claim, id="far", value=50.0),
        accuracy(claim, id="near"),
        accuracy(claim, id="between", value=92.0, partly=3.0),
        accuracy(claim, id="across", value=91.0),
        accuracy(claim, id="beaten", value=80.0, direction="more"),
        claim(id="unsaid", undecidable="the learning rate is not told"),
        claim("positive", id="other", select={"algorithm": "sltt"}),
    ]
    known = runs(record, 90.0)
    answers = judge(claims, known, lambda _: True, lambda _: planned(*known))
    assert [a.claim.id for a in answers] == ["far", "near", "between", "across", "beaten", "unsaid", "other"]
    assert [a.verdict for a in answers] == [
        "not reproduced", "reproduced", "partly", "cannot tell", "exceeded", "undecidable", "not attempted",
    ]  # fmt: skip
    assert [a.measured for a in answers] == [pytest.approx(90)] * 5 + [None, None]
    assert answers[5].reason == "the learning rate is not told"


def test_verdict_names_machine_day_and_run(claim: MakeClaim, record: MakeRecord) -> None:
    known = runs(record, 90.0)
    known[1] = replace(known[1], run="r2", when="2026-03-01T00:00:00+00:00")
    v = verdict(accuracy(claim), *known)
    assert (v.machine, v.device, v.evidence_scale, v.n) == ("here", "cpu", "full", 3)
    assert (v.when, v.runs) == ("2026-03-01T00:00:00+00:00", ("r", "r2"))
    assert v.keys == tuple(sorted(r.key for r in known))


def behind(record: MakeRecord) -> list[Record]:
    return runs(record, 1.0, backend="snntorch")


def gate(record: MakeRecord, state: str, **changes: Any) -> Record:
    return record(state, metric="gate", probe="equivalence", **{"backend": "snntorch", **changes})


def test_records_of_a_backend_count_only_if_its_gate_passed(claim: MakeClaim, record: MakeRecord) -> None:
    asked = claim("positive", select={"backend": "snntorch"})
    numbers = behind(record)

    def said(*gates: Record, **more: Any) -> str:
        return verdict(asked, *numbers, *gates, **more).verdict

    assert said() == "not attempted"
    assert said(gate(record, "pass")) == "reproduced"
    assert said(gate(record, "pass", network="another")) == "not attempted"
    assert said(gate(record, "pass", backend="spikingjelly")) == "not attempted"
    assert said(gate(record, "pass"), gate(record, "fail", algorithm="sltt")) == "not attempted"
    assert said(gate(record, "pass"), lost=(gate(record, "pass", algorithm="sltt"),)) == "not attempted"
    native = claim("positive")
    assert verdict(native, *runs(record, 1.0), gate(record, "fail")).verdict == "reproduced"  # native needs none


def test_records_of_a_backend_with_a_stale_gate_do_not_count(claim: MakeClaim, record: MakeRecord) -> None:
    asked = claim("positive", select={"backend": "snntorch"})
    numbers = behind(record)
    assert verdict(asked, *numbers, gate(record, "pass", digest="old")).verdict == "not attempted"
    failed = gate(record, "pass", status="failed")
    assert verdict(asked, *numbers, failed).verdict == "not attempted"


@pytest.mark.parametrize(
    "elsewhere",
    [{"machine": "there"}, {"device": "NVIDIA H100"}, {"precision": "float64"}, {"threads": 8}],
    ids=lambda changes: next(iter(changes)),
)
def test_machines_are_never_mixed_in_one_number(claim: MakeClaim, record: MakeRecord, elsewhere: dict[str, Any]) -> None:
    """In either place a side or a run is missing; together all would be there."""
    ratio = claim("ratio", low=0, high=100, select={"probe": "cost"}, over={"algorithm": "sltt"})
    v = verdict(ratio, record(2, probe="cost"), record(1, probe="cost", algorithm="sltt", **elsewhere))
    assert v.verdict == "not attempted"
    first, second, third = runs(record, 90.0)
    v = verdict(accuracy(claim), first, second, replace(third, **elsewhere))
    assert v.verdict == "cannot tell"
    assert "of 3 planned runs" in v.reason
    flat = claim("flat_in_T", from_T=1, to_T=3)
    v = verdict(flat, record(1, T=1), record(1, T=2, **elsewhere), record(1, T=3))
    assert v.verdict == "not attempted"


def test_reason_mentions_the_outcome_on_another_machine(claim: MakeClaim, record: MakeRecord) -> None:
    v = verdict(accuracy(claim), *runs(record, 90.0, machine="a", when="2"), *runs(record, 50.0, machine="b", when="1"))
    assert (v.verdict, v.machine) == ("reproduced", "a")
    assert v.reason.endswith("Elsewhere: b: not reproduced")
    agreeing = verdict(accuracy(claim), *runs(record, 90.0, machine="a"), *runs(record, 90.5, machine="b"))
    assert "Elsewhere" not in agreeing.reason


def test_failure_on_one_machine_does_not_hide_success_on_another(claim: MakeClaim, record: MakeRecord) -> None:
    failed = record(None, metric="none", status="crashed", reason="signal 11", machine="a", when="9")
    v = verdict(claim("positive"), failed, *runs(record, 1, machine="b", when="1"))
    assert (v.verdict, v.machine) == ("reproduced", "b")


def test_current_records_are_preferred_to_newer_stale_ones(claim: MakeClaim, record: MakeRecord) -> None:
    fresh, stale = runs(record, 90, when="1"), runs(record, 10, when="9", machine="there", digest="old")
    assert verdict(accuracy(claim), *fresh, *stale).machine == "here"


def test_verdict_from_stale_records_is_stale_and_names_the_former_one(claim: MakeClaim, record: MakeRecord) -> None:
    v = verdict(accuracy(claim), *runs(record, 90.0, digest="old"))
    assert (v.verdict, v.measured) == ("stale", pytest.approx(90))
    assert "the code has changed since it was measured; then: reproduced" in v.reason
    half = verdict(
        claim("ratio", low=0, high=9, select={"probe": "cost"}, over={"algorithm": "sltt"}),
        record(2, probe="cost"), record(1, probe="cost", algorithm="sltt", digest="old"),
    )  # fmt: skip
    assert half.verdict == "stale"  # one side measured again is not yet a ratio of today's code


def test_reason_omits_stale_outcomes_of_other_machines(claim: MakeClaim, record: MakeRecord) -> None:
    old = runs(record, 10.0, machine="there", digest="old")
    v = verdict(accuracy(claim), *runs(record, 90.0), *old)
    assert v.verdict == "reproduced"
    assert "there" not in v.reason


def test_more_recent_of_two_machines_decides(claim: MakeClaim, record: MakeRecord) -> None:
    early, late = runs(record, 50.0, machine="a", when="1"), runs(record, 90.0, machine="b", when="2")
    assert verdict(accuracy(claim), *early, *late).machine == verdict(accuracy(claim), *late, *early).machine == "b"


def test_repeated_case_counts_once_with_its_latest_value(claim: MakeClaim, record: MakeRecord) -> None:
    v = verdict(accuracy(claim), *runs(record, 50.0, when="1"), *runs(record, 90.0, when="2"))
    assert (v.verdict, v.n) == ("reproduced", 3)


def test_scale_is_that_of_the_plan_not_of_the_record(claim: MakeClaim, record: MakeRecord) -> None:
    known = runs(record, 90.0, scale="smoke")
    boasting = [replace(r, case={**r.case, "scale": "full"}) for r in known]
    (answer,) = judge([accuracy(claim)], boasting, lambda _: True, lambda _: [case_of(r) for r in known])
    assert answer.verdict == "not attempted"


def test_reason_mentions_records_of_an_uncommitted_tree(claim: MakeClaim, record: MakeRecord) -> None:
    known = runs(record, 90.0)
    assert "uncommitted" not in verdict(accuracy(claim), *known).reason
    known[2] = replace(known[2], commit="c+")
    assert verdict(accuracy(claim), *known).reason.endswith("; measured from an uncommitted tree")
