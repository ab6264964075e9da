"""The order of cases when time is short."""

from __future__ import annotations

from dataclasses import replace

from bench.case import Case
from bench.forecast.order import by_claims_per_second

CASE = Case("p", "training", "net", "bptt", "native", T=1, batch=1, dataset="digits")
A, B, C, D, E = (replace(CASE, seed=seed) for seed in range(5))


def order(seconds: dict[Case, float], *claims: set[Case], done: set[Case] = frozenset()) -> list[int]:  # type: ignore[assignment]
    """Return the seeds of the cases in the order for these claims."""
    needed = {("p", str(i)): frozenset(case.key for case in claim) for i, claim in enumerate(claims)}
    by_key = {case.key: taken for case, taken in seconds.items()}
    return [
        case.seed for case in by_claims_per_second(list(seconds), by_key, needed, frozenset(case.key for case in done))
    ]  # fmt: skip


def test_claims_that_cost_least_come_first() -> None:
    assert order({A: 10, B: 1, C: 4}, {A}, {B}, {C}) == [1, 2, 0]


def test_cases_that_decide_several_claims_come_before_shorter_ones() -> None:
    assert order({A: 3, B: 2}, {B}, {A}, {A}) == [0, 1]


def test_all_cases_of_a_claim_come_together_and_short_ones_first() -> None:
    assert order({A: 5, B: 4, C: 3}, {A, C}, {B}) == [1, 2, 0]
    assert order({A: 5, B: 9, C: 3}, {A, C}, {B}) == [2, 0, 1]


def test_claims_whose_other_cases_are_done_cost_the_rest_alone() -> None:
    assert order({A: 5, B: 4}, {A, C}, {B}, done={C}) == [1, 0]
    assert order({A: 3, B: 4}, {A, C}, {B}, done={C}) == [0, 1]


def test_claims_that_also_need_what_cannot_be_measured_count_for_their_share() -> None:
    assert order({A: 3, B: 4}, {A, C}, {B}) == [1, 0]  # C is neither done nor can it be measured: half a claim for 3 s


def test_claims_that_become_cheap_by_others_follow_them() -> None:
    """After A, which decides one claim, D alone is left of another one."""
    assert order({A: 2, B: 4, D: 3}, {A, D}, {B}, {A}) == [0, 3, 1]


def test_cases_of_no_claim_come_last_and_short_ones_first() -> None:
    assert order({A: 5, B: 2, C: 100, E: 1}, {C}) == [2, 4, 1, 0]


def test_order_does_not_depend_on_that_of_the_cases() -> None:
    claims = ({A, B}, {C}, {D, E}, {B, C})
    seconds = {A: 3.0, B: 3.0, C: 2.0, D: 1.0, E: 4.0}
    assert order(seconds, *claims) == order(dict(reversed(seconds.items())), *claims)
