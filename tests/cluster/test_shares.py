"""Splitting a plan into jobs."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from bench.case import Case
from bench.cluster.shares import Share, shares
from bench.plan import papers, plan
from bench.registry import PROBES

CASE = Case("p", "cost", "net", "bptt", "native", T=1, batch=1)


def seconds(share: Share) -> float:
    return sum(PROBES[case.probe].typical_s for case in share.cases)


def test_every_case_of_a_full_plan_is_in_one_job() -> None:
    cases = [case for paper in papers() for case in plan(paper, "full", lambda _: True)]
    found = shares(cases, minutes=30, workers=4, most=1000)
    assert Counter(case for share in found for case in share.cases) == Counter(cases)
    alone = [share for share in found if share.exclusive]
    assert len(alone) == 1
    assert {case for share in found for case in share.cases if PROBES[case.probe].alone} == set(alone[0].cases)
    long = [case for case in cases if case.probe == "training" and case.scale in ("night", "full")]
    assert Counter(share.cases for share in found if len(share.cases) == 1 and share.cases[0] in long) == Counter(
        (c,) for c in long
    )


def test_short_cases_are_packed_to_the_minutes_asked_for() -> None:
    cases = [replace(CASE, T=T + 1) for T in range(1000)]  # of 0.6 s
    found = shares(cases, minutes=1, workers=2, most=1000)
    assert len(found) == 5
    assert {round(seconds(share)) for share in found} == {120}
    assert all(share.cases == tuple(sorted(share.cases, key=lambda case: case.T)) for share in found)
    assert len(shares(cases, minutes=1, workers=2, most=3)) == 3
    assert len(shares(cases[:2], minutes=1, workers=1, most=1000)) == 1


def test_short_cases_get_a_job_also_where_long_ones_fill_the_array() -> None:
    long = [replace(CASE, probe="training", scale="full", seed=seed) for seed in range(4)]
    assert [len(share.cases) for share in shares([CASE, *long], minutes=1, workers=1, most=3)] == [1] * 5


def test_an_empty_plan_needs_no_job() -> None:
    assert shares([], minutes=1, workers=1, most=10) == []
