"""Which evidence is believed, and what is said where there is none."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.claims import Claim, Verdict, judge
from bench.spec import Record

MakeRecord = Callable[..., Record]
MakeClaim = Callable[..., Claim]


def verdict(claim: Claim, *records: Record) -> Verdict:
    (answer,) = judge([claim], records, lambda r: r.digest == "new")
    assert answer.claim == claim
    return answer


def test_one_verdict_a_claim_in_their_order(claim: MakeClaim, record: MakeRecord) -> None:
    claims = [
        claim("within", id="far", value=50.0, tolerance=1.0),
        claim("within", id="near", value=90.0, tolerance=1.0),
        claim("within", id="between", value=92.0, tolerance=1.0, partly=3.0),
        claim(id="unsaid", undecidable="the learning rate is not told"),
        claim("positive", id="other", select={"algorithm": "sltt"}),
    ]
    answers = judge(claims, [record(90.0)], lambda _: True)
    assert [a.claim.id for a in answers] == ["far", "near", "between", "unsaid", "other"]
    assert [a.verdict for a in answers] == ["not reproduced", "reproduced", "partly", "undecidable", "not attempted"]
    assert [a.measured for a in answers] == [90, 90, 90, None, None]
    assert answers[3].reason == "the learning rate is not told"


def test_a_verdict_says_where_it_comes_from(claim: MakeClaim, record: MakeRecord) -> None:
    runs = [record(90.0, seed=0), record(91.0, seed=1, scale="laptop")]
    v = verdict(claim("within", value=90.0, tolerance=1.0, scale="laptop"), *runs)
    assert (v.machine, v.evidence_scale, v.n) == ("here", "full", 2)
    assert v.keys == tuple(sorted(r.key for r in runs))


def test_a_backend_counts_only_behind_an_open_gate(claim: MakeClaim, record: MakeRecord) -> None:
    asked = claim("positive", select={"backend": "snntorch"})
    number = record(1.0, backend="snntorch")

    def gate(state: str, **case: Any) -> Record:
        return record(state, metric="gate", probe="equivalence", **{"backend": "snntorch", **case})

    assert verdict(asked, number).verdict == "not attempted"
    assert verdict(asked, number, gate("pass")).verdict == "reproduced"
    assert verdict(asked, number, gate("pass", network="another")).verdict == "not attempted"
    assert verdict(asked, number, gate("pass", backend="spikingjelly")).verdict == "not attempted"
    assert verdict(asked, number, gate("pass"), gate("fail", algorithm="sltt")).verdict == "not attempted"
    assert verdict(claim("positive"), record(1.0), gate("fail")).verdict == "reproduced"  # native needs none


# --------------------------------------------------------------------------- machines


def test_machines_never_meet_in_one_number(claim: MakeClaim, record: MakeRecord) -> None:
    """On either machine a ratio lacks a side; a mean over both would be within, each alone is not."""
    ratio = claim("ratio", low=0, high=100, over={"algorithm": "sltt"})
    v = verdict(ratio, record(2, machine="a"), record(1, machine="b", algorithm="sltt"))
    assert v.verdict == "not attempted"
    mean = claim("within", value=90.0, tolerance=1.0)
    v = verdict(mean, record(80.0, machine="a"), record(100.0, machine="b", seed=1))
    assert (v.verdict, v.n) == ("not reproduced", 1)
    flat = claim("flat_in_T", from_T=1, to_T=3)
    v = verdict(flat, *(record(1, T=T, machine=machine) for T, machine in ((1, "a"), (2, "b"), (3, "a"))))
    assert v.verdict == "not attempted"


def test_what_another_machine_says_is_told(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=90.0, tolerance=1.0)
    v = verdict(c, record(90.0, machine="a", when="2"), record(50.0, machine="b", when="1"))
    assert (v.verdict, v.machine) == ("reproduced", "a")
    assert v.reason.endswith("On other machines: b: not reproduced")
    agreeing = verdict(c, record(90.0, machine="a"), record(90.5, machine="b"))
    assert "other machines" not in agreeing.reason


def test_a_failure_on_one_machine_does_not_hide_success_on_another(claim: MakeClaim, record: MakeRecord) -> None:
    failed = record(None, metric="none", status="crashed", reason="signal 11", machine="a", when="9")
    v = verdict(claim("positive"), failed, record(1, machine="b", when="1"))
    assert (v.verdict, v.machine) == ("reproduced", "b")


# --------------------------------------------------------------------------- which evidence


def test_fresh_beats_stale_whatever_its_scale_and_time(claim: MakeClaim, record: MakeRecord) -> None:
    fresh = record(1, scale="laptop", when="1")
    stale = record(-1, scale="full", when="9", seed=5, batch=7, digest="old")
    assert verdict(claim("positive", scale="smoke"), fresh, stale).verdict == "reproduced"
    elsewhere = replace(stale, machine="there")
    assert verdict(claim("positive", scale="smoke"), fresh, elsewhere).machine == "here"


def test_without_fresh_evidence_a_verdict_is_stale_and_tells_what_was(claim: MakeClaim, record: MakeRecord) -> None:
    v = verdict(claim("within", value=90.0, tolerance=1.0), record(90.0, digest="old"))
    assert (v.verdict, v.measured) == ("stale", 90)
    assert "the code has changed since" in v.reason
    half = verdict(
        claim("ratio", low=0, high=9, over={"algorithm": "sltt"}), record(2), record(1, algorithm="sltt", digest="old")
    )
    assert half.verdict == "stale"  # one side measured again is not yet a ratio of today's code


def test_a_stale_verdict_elsewhere_is_not_told(claim: MakeClaim, record: MakeRecord) -> None:
    v = verdict(claim("positive"), record(1, machine="a"), record(-1, machine="b", digest="old"))
    assert (v.verdict, v.reason) == ("reproduced", "least of 1 values: 1")


def test_the_higher_scale_is_believed_then_the_more_recent(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=90.0, tolerance=1.0, scale="smoke")
    low, high = record(50.0, batch=2, scale="laptop", when="9"), record(90.0, batch=1, scale="full", when="1")
    assert verdict(c, low, high).verdict == "reproduced"
    assert verdict(c, low, replace(high, machine="there")).machine == "there"
    early, late = record(50.0, batch=2, when="1"), record(90.0, batch=1, when="2")
    assert verdict(c, early, late).verdict == verdict(c, late, early).verdict == "reproduced"
    assert verdict(c, early, replace(late, machine="there")).machine == "there"


def test_a_case_measured_again_counts_once_and_as_it_is_now(claim: MakeClaim, record: MakeRecord) -> None:
    v = verdict(claim("within", value=90.0, tolerance=1.0), record(50.0, when="1"), record(90.0, when="2"))
    assert (v.verdict, v.n) == ("reproduced", 1)


# --------------------------------------------------------------------------- parts


def parts(claim: MakeClaim, *algorithms: str) -> Claim:
    measures = [claim("positive", select={"algorithm": name}).measure for name in algorithms]
    return claim("positive", measure={"parts": measures})


def test_all_parts_must_hold_and_some_make_it_partly(claim: MakeClaim, record: MakeRecord) -> None:
    both = parts(claim, "bptt", "sltt")
    good, bad = record(2), record(-2)
    also_good, also_bad = record(3, algorithm="sltt"), record(-3, algorithm="sltt")
    assert verdict(both, good, also_good).verdict == "reproduced"
    assert verdict(both, good, also_bad).verdict == "partly"
    assert verdict(both, bad, also_bad).verdict == "not reproduced"
    assert verdict(both).verdict == "not attempted"
    assert verdict(both, good, also_good).measured == "2; 3"


def test_a_part_without_evidence_keeps_the_whole_from_being_reproduced(claim: MakeClaim, record: MakeRecord) -> None:
    v = verdict(parts(claim, "bptt", "sltt"), record(2))
    assert v.verdict == "partly"
    assert "not measured: m, sltt" in v.reason


def test_simulated_data_never_reproduce(claim: MakeClaim, record: MakeRecord) -> None:
    v = verdict(claim("positive"), record(1, detail={"part": "simulated from CIFAR-10, not recorded"}))
    assert v.verdict == "partly"
    assert v.reason.endswith("on simulated data")


# --------------------------------------------------------------------------- not attempted


def test_not_attempted_says_why(claim: MakeClaim, record: MakeRecord) -> None:
    plain = claim("positive", scale="laptop", needs="a GPU")
    assert verdict(plain).reason == "needs a GPU"
    assert verdict(replace(plain, needs="")).reason == "no record at scale laptop"
    weak = verdict(plain, record(1, scale="smoke"))
    assert (weak.verdict, weak.measured) == ("not attempted", None)
    assert weak.reason == "what was measured at scale smoke cannot decide it; needs a GPU"


def test_not_attempted_tells_what_failed_but_not_another_cases_failure(claim: MakeClaim, record: MakeRecord) -> None:
    refused = record(None, metric="none", status="refused", reason="forecast 300.0 GiB")
    other = record(None, metric="none", status="crashed", reason="signal 11", algorithm="sltt")
    twice = replace(refused, machine="there")
    v = verdict(claim("positive", needs="a GPU"), refused, other, twice)
    assert v.reason == "refused: forecast 300.0 GiB; needs a GPU"


def test_a_failure_that_was_made_good_is_forgotten(claim: MakeClaim, record: MakeRecord) -> None:
    crashed = record(None, metric="none", status="crashed", reason="signal 11", when="1")
    other_metric = record(1, metric="other", when="2")
    assert "signal 11" in verdict(claim("positive"), crashed).reason
    assert "signal 11" not in verdict(claim("positive"), crashed, other_metric).reason


def test_the_undecidable_stay_so_whatever_was_measured(claim: MakeClaim, record: MakeRecord) -> None:
    assert verdict(claim("positive", undecidable="no unit is given"), record(1)).verdict == "undecidable"


# --------------------------------------------------------------------------- order

values = st.sampled_from([88.0, 90.0, 90.4, 95.0, float("nan")])
attempts = st.tuples(
    st.sampled_from(["a", "b", "c"]), values, st.sampled_from(["bptt", "sltt"]), st.integers(0, 2),
    st.sampled_from(["smoke", "laptop", "full"]), st.sampled_from(["new", "old"]),
    st.sampled_from(["ok", "ok", "crashed"]), st.sampled_from(["1", "2"]),
)  # fmt: skip


@settings(deadline=None, max_examples=200)
@given(made=st.lists(attempts, max_size=12), shuffle=st.randoms(use_true_random=False))
def test_the_order_in_which_machines_are_read_changes_nothing(
    claim: MakeClaim, record: MakeRecord, made: list[tuple[Any, ...]], shuffle: random.Random
) -> None:
    records = [
        record(value, machine=machine, algorithm=algorithm, seed=seed, scale=scale, digest=digest, when=when)
        if status == "ok"
        else record(None, metric="none", machine=machine, algorithm=algorithm, seed=seed, scale=scale, digest=digest,
                    when=when, status="crashed", reason=f"signal {seed} on {machine}")
        for machine, value, algorithm, seed, scale, digest, status, when in made
    ]  # fmt: skip
    claims = [
        claim("within", value=90.0, tolerance=0.5, partly=2.0, n=2, scale="laptop"),
        claim("ratio", low=0.9, high=1.1, scale="smoke", over={"algorithm": "sltt"}),
        claim("at_least", over={"algorithm": "sltt"}),
        claim("positive", scale="smoke"),
        parts(claim, "bptt", "sltt"),
    ]
    by_machine = {machine: [r for r in records if r.machine == machine] for machine in "abc"}
    turns = [r.machine for r in records]
    shuffle.shuffle(turns)
    mixed = [by_machine[machine].pop(0) for machine in turns]

    def fresh(r: Record) -> bool:
        return r.digest == "new"

    assert repr(judge(claims, mixed, fresh)) == repr(judge(claims, records, fresh))  # repr: nan is not equal to itself
