"""Verdicts do not depend on the order of machines and do not improve if records are lost."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.case import Case
from bench.claims import judge
from bench.claims.judge import ORDER
from bench.record import Record
from tests.ledger.conftest import planned
from tests.ledger.judging import MakeClaim, MakeRecord, accuracy, parts, runs, verdict

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
