"""Which evidence is believed, and what is said where there is none."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.case import Case
from bench.claims import VERDICTS, Claim, Verdict, judge
from bench.claims.judge import ORDER, combined
from bench.claims.rules import Finding, Holds
from bench.record import Record
from tests.ledger.conftest import case_of, planned

MakeRecord = Callable[..., Record]
MakeClaim = Callable[..., Claim]


def verdict(claim: Claim, *records: Record, lost: tuple[Record, ...] = ()) -> Verdict:
    """``lost``: planned, and not there."""
    plan = planned(*records, *lost)
    (answer,) = judge([claim], records, lambda r: r.digest == "new", lambda _: plan)
    assert answer.claim == claim
    return answer


def runs(record: MakeRecord, mean: float, **more: Any) -> list[Record]:
    """Three seeds with an interval of +- 0.25."""
    return [record(mean + 0.1 * (seed - 1), seed=seed, **more) for seed in range(3)]


def accuracy(claim: MakeClaim, **more: Any) -> Claim:
    return claim("within", **{"value": 90.0, "tolerance": 1.0, **more})


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


# --------------------------------------------------------------------------- gates


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


# --------------------------------------------------------------------------- places


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


# --------------------------------------------------------------------------- which evidence


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


# --------------------------------------------------------------------------- parts


def parts(claim: MakeClaim, *algorithms: str) -> Claim:
    measures = [claim("positive", select={"algorithm": name}).measure for name in algorithms]
    return claim("positive", measure={"parts": measures})


def test_claim_is_reproduced_if_all_parts_hold_and_partly_if_some_do(claim: MakeClaim, record: MakeRecord) -> None:
    both = parts(claim, "bptt", "sltt")
    good, bad = runs(record, 2), runs(record, -2)
    also_good, also_bad = runs(record, 3, algorithm="sltt"), runs(record, -3, algorithm="sltt")
    assert verdict(both, *good, *also_good).verdict == "reproduced"
    assert verdict(both, *good, *also_bad).verdict == "partly"
    assert verdict(both, *bad, *also_bad).verdict == "not reproduced"
    assert verdict(both).verdict == "not attempted"
    assert verdict(both, *good, *also_good).measured == "1.9; 2.9"
    assert "holds: least of 3 values 1.9" in verdict(both, *good, *also_bad).reason
    assert "fails: least of 3 values -3.1" in verdict(both, *good, *also_bad).reason


def test_claim_with_a_part_without_evidence_is_not_reproduced(claim: MakeClaim, record: MakeRecord) -> None:
    v = verdict(parts(claim, "bptt", "sltt"), *runs(record, 2))
    assert v.verdict == "partly"
    assert "not measured: m, sltt" in v.reason


HOLDS: tuple[Holds, ...] = ("no", "undecidable", "cannot tell", "partly", "yes", "exceeded")


def on(holds: Holds) -> Finding:
    return Finding(holds, 1, "so", ())


@pytest.mark.parametrize(
    ("holds", "missing", "said"),
    [
        (("yes", "yes"), 0, "reproduced"),
        (("yes", "exceeded"), 0, "exceeded"),
        (("yes",), 1, "partly"),
        (("exceeded", "cannot tell"), 0, "partly"),
        (("partly", "no"), 0, "partly"),
        (("yes", "no"), 0, "partly"),
        (("no", "cannot tell"), 0, "not reproduced"),
        (("no",), 1, "not reproduced"),
        (("cannot tell",), 1, "cannot tell"),
        (("undecidable",), 0, "undecidable"),
    ],
    ids=str,
)
def test_outcome_of_two_parts(holds: tuple[Holds, ...], missing: int, said: str) -> None:
    assert combined([on(h) for h in holds], missing) == said


@pytest.mark.parametrize("others", list(product(HOLDS, repeat=2)), ids=str)
def test_outcome_does_not_improve_if_a_part_is_lost_or_fails(others: tuple[Holds, ...]) -> None:
    for holds in HOLDS:
        whole = ORDER.get(combined([on(h) for h in (*others, holds)], 0), 0)
        assert ORDER.get(combined([on(h) for h in others], 1), 0) <= whole
        for worse in ("no", "undecidable", "cannot tell"):
            assert ORDER.get(combined([*(on(h) for h in others), on(worse)], 0), 0) <= whole


def test_order_of_outcomes_includes_every_verdict() -> None:
    assert set(ORDER) < set(VERDICTS)


# --------------------------------------------------------------------------- what is "partly" at best


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"detail": {"test images": 10**9, "part": "simulated from CIFAR-10, not recorded"}}, "on simulated data"),
        ({"detail": {"test images": 10**9, "part": "part of N-MNIST"}}, "on a part of the data (part of N-MNIST)"),
        ({"options": {"train_images": 100}}, "on a part of the data (100 train images)"),
        ({"options": {"test_images": 9}}, "on a part of the data (9 test images)"),
    ],
    ids=["simulated", "part", "train_images", "test_images"],
)
@pytest.mark.parametrize("direction", [None, "more"])
def test_claim_on_a_part_of_the_data_is_partly_at_best(
    claim: MakeClaim, record: MakeRecord, changes: dict[str, Any], told: str, direction: str | None
) -> None:
    select = {"options": changes.get("options", {})}
    c = accuracy(claim, select=select, value=80.0 if direction else 90.0, **({"direction": direction} if direction else {}))
    v = verdict(c, *runs(record, 90.0, **changes))
    assert v.verdict == "partly"
    assert v.reason.startswith(("exceeded, but " if direction else "") + told)
    missed = verdict(accuracy(claim, select=select, value=10.0), *runs(record, 90.0, **changes))
    assert missed.verdict == "not reproduced"


def test_claim_with_an_assumption_is_partly_at_best(claim: MakeClaim, record: MakeRecord) -> None:
    v = verdict(accuracy(claim, assumed="networks"), *runs(record, 90.0))
    assert v.verdict == "partly"
    assert v.reason.startswith("on assumed networks: ")


# --------------------------------------------------------------------------- not attempted


def test_not_attempted_has_a_reason(claim: MakeClaim, record: MakeRecord) -> None:
    plain = claim("positive", scale="laptop", needs="a GPU")
    assert verdict(plain).reason == "needs a GPU"
    assert verdict(replace(plain, needs="")).reason == "no record at scale laptop"
    weak = verdict(plain, *runs(record, 1, scale="smoke"))
    assert (weak.verdict, weak.measured) == ("not attempted", None)
    assert weak.reason == "what was measured at scale smoke cannot decide it; needs a GPU"


def test_not_attempted_mentions_failures_of_its_own_cases_alone(claim: MakeClaim, record: MakeRecord) -> None:
    refused = record(None, metric="none", status="refused", reason="forecast 300.0 GiB")
    other = record(None, metric="none", status="crashed", reason="signal 11", algorithm="sltt")
    twice = replace(refused, machine="there")
    v = verdict(claim("positive", needs="a GPU"), refused, other, twice)
    assert v.reason == "refused: forecast 300.0 GiB; needs a GPU"


def test_failure_followed_by_success_is_not_mentioned(claim: MakeClaim, record: MakeRecord) -> None:
    crashed = record(None, metric="none", status="crashed", reason="signal 11", when="1")
    other_metric = record(1, metric="other", when="2")
    assert "signal 11" in verdict(claim("positive"), crashed).reason
    assert "signal 11" not in verdict(claim("positive"), crashed, other_metric).reason


def test_undecidable_claim_stays_undecidable_with_any_record(claim: MakeClaim, record: MakeRecord) -> None:
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
def test_verdict_does_not_depend_on_the_order_of_machines(
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

    def plan(_: str) -> list[Case]:
        return sorted(planned(*(replace(r, case={**r.case, "scale": "full"}) for r in records)), key=lambda case: case.key)

    assert repr(judge(claims, mixed, fresh, plan)) == repr(judge(claims, records, fresh, plan))  # repr: nan is not itself


# --------------------------------------------------------------------------- what is lost betters nothing


@settings(deadline=None, max_examples=150)
@given(
    made=st.lists(st.tuples(
        st.sampled_from([88.0, 89.9, 90.0, 90.1, 95.0, -1.0, float("nan")]), st.sampled_from(["bptt", "sltt"]),
        st.integers(0, 3), st.sampled_from([1, 2]),
    ), max_size=16),
    gone=st.sets(st.integers(0, 15)),
    fails=st.booleans(),
)  # fmt: skip
def test_verdict_does_not_improve_if_a_record_is_lost_or_failed(
    claim: MakeClaim, record: MakeRecord, made: list[tuple[Any, ...]], gone: set[int], fails: bool
) -> None:
    records = [record(value, algorithm=name, seed=seed, batch=batch) for value, name, seed, batch in made]
    plan = planned(*records)
    claims = [
        accuracy(claim, partly=2.0, n=2),
        accuracy(claim, value=80.0, direction="more"),
        accuracy(claim, select={"batch": 1}),
        claim("ratio", low=0.9, high=1.1, direction="more", over={"algorithm": "sltt"}),
        claim("at_least", over={"algorithm": "sltt"}),
        claim("positive"),
        parts(claim, "bptt", "sltt"),
    ]

    def as_lost(r: Record) -> list[Record]:
        return [replace(r, value=None, metric="none", status="crashed")] if fails else []

    latest = list({(r.key): r for r in records}.values())
    left = [r for i, known in enumerate(latest) for r in (as_lost(known) if i in gone else [known])]
    before = judge(claims, latest, lambda _: True, lambda _: plan)
    after = judge(claims, left, lambda _: True, lambda _: plan)
    for old, new in zip(before, after, strict=True):
        assert ORDER.get(new.verdict, 0) <= ORDER.get(old.verdict, 0), (old, new)


def test_later_run_on_another_device_replaces_no_record(claim: MakeClaim, record: MakeRecord) -> None:
    on_gpu, again = runs(record, 90.0, device="NVIDIA", when="1"), runs(record, 50.0, when="2")
    v = verdict(accuracy(claim), *on_gpu, *again[:1])
    assert (v.verdict, v.device, v.n) == ("reproduced", "NVIDIA", 3)  # one run of three does not outvote them
    assert v.reason.endswith("Elsewhere: here (cpu): cannot tell")
    assert verdict(accuracy(claim), *on_gpu, *again).verdict == "not reproduced"
