"""Rules equal, flat_in_T, affine_in_T and positive."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from bench.claims.rules import Missing, printed_number
from bench.record import Record
from tests.ledger.finding import MakeClaim, MakeRecord, find, found, seeds


@pytest.mark.parametrize(
    ("printed", "value", "holds"),
    [("9.2M", 9_150_001, "yes"), ("9.2M", 9_249_999, "yes"), ("9.2M", 9_149_999, "no"), ("9.2M", 9_250_001, "no"),
     ("22M", 21_797_688, "yes"), ("22M", 21_499_999, "no"), ("400", 400, "yes"), ("400", 401, "no"),
     ("1.5k", 1_549, "yes"), ("0.19±0.01", 0.1949, "yes"), ("0.19", 0.1951, "no")],
)  # fmt: skip
def test_equal_rounds_to_what_is_printed(claim: MakeClaim, record: MakeRecord, printed: str, value: float, holds: str) -> None:
    finding = found(claim("equal", printed=printed, value=0.0, select={"probe": "count"}), record(value, probe="count"))
    assert (finding.holds, finding.measured) == (holds, value)
    assert f"printed {printed}" in finding.reason


@pytest.mark.parametrize(
    ("text", "number"),
    [("9.2M", ("9.2", 1, 10**6)), ("≈0.19", ("0.19", 2, 1)), ("93.52±0.06 (93.58)", ("93.52", 2, 1)),
     ("-1", ("-1", 0, 1)), ("3 GB", ("3", 0, 1))],
)  # fmt: skip
def test_printed_number(text: str, number: tuple[str, int, int]) -> None:
    assert printed_number(text) == (Decimal(number[0]), *number[1:])


@pytest.mark.parametrize("text", ["", "flat in T", "> 0", "M"])
def test_printed_number_rejects_text_without_a_number(text: str) -> None:
    with pytest.raises(ValueError, match="does not begin with a number"):
        printed_number(text)


HUGE = 2**60  # bytes that a float cannot tell apart


def over_T(record: MakeRecord, values: dict[int, int]) -> list[Record]:
    return [record(value, T=T) for T, value in values.items()]


@pytest.mark.parametrize(("off", "holds"), [(0, "yes"), (1, "no"), (-1, "no")])
@pytest.mark.parametrize("at", [2, 3, 4])
def test_flat_in_T_is_exact(claim: MakeClaim, record: MakeRecord, at: int, off: int, holds: str) -> None:
    values = {1: 5, 2: HUGE, 3: HUGE, 4: HUGE, 9: 7}  # T outside the claim does not count
    values[at] += off
    finding = found(claim("flat_in_T", from_T=2, to_T=4), *over_T(record, values))
    assert (finding.holds, finding.measured, finding.n) == (holds, abs(off), 3)


@pytest.mark.parametrize(("off", "holds"), [(0, "yes"), (1, "no"), (-1, "no")])
@pytest.mark.parametrize("at", [2, 3, 5])
def test_affine_in_T_is_exact(claim: MakeClaim, record: MakeRecord, at: int, off: int, holds: str) -> None:
    values = {1: 0, 2: HUGE, 3: HUGE + 10, 5: HUGE + 30, 9: 7}
    values[at] += off
    finding = found(claim("affine_in_T", from_T=2, to_T=5), *over_T(record, values))
    assert finding.holds == holds
    assert (finding.measured == 10) == (off == 0)


@pytest.mark.parametrize("slope", [0, -1])
def test_affine_in_T_requires_growth(claim: MakeClaim, record: MakeRecord, slope: int) -> None:
    finding = found(claim("affine_in_T", from_T=2, to_T=4), *over_T(record, {T: 100 + slope * T for T in (2, 3, 4)}))
    assert (finding.holds, finding.measured) == ("no", slope)


@pytest.mark.parametrize("rule", ["flat_in_T", "affine_in_T"])
@pytest.mark.parametrize("steps", [(), (2, 4), (2, 3), (3, 4), (1, 2, 3, 5)])
def test_curves_need_both_ends_and_a_point_between(
    claim: MakeClaim, record: MakeRecord, rule: str, steps: tuple[int, ...]
) -> None:
    missing = find(claim(rule, from_T=2, to_T=4), *over_T(record, dict.fromkeys(steps, 1)))
    assert isinstance(missing, Missing)
    assert "T = 2, 4 and between" in missing.what


@pytest.mark.parametrize("rule", ["flat_in_T", "affine_in_T"])
@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("bad", [math.nan, "many", None], ids=str)
def test_curves_are_undecided_if_a_point_is_not_a_number(
    claim: MakeClaim, record: MakeRecord, rule: str, at: int, bad: Any
) -> None:
    points = over_T(record, {T: 5 * T if rule == "affine_in_T" else 5 for T in (1, 2, 3, 4)} | {at: bad})
    finding = find(claim(rule, from_T=1, to_T=4), *points)
    assert isinstance(finding, Missing) or finding.holds == "cannot tell"
    assert find(claim(rule, from_T=1, to_T=4), *points, record(1, T=9)) == finding


def test_curves_of_different_cases_are_not_mixed(claim: MakeClaim, record: MakeRecord) -> None:
    """Flat at either batch size, growing only if points of both are taken for one curve."""
    small = [record(1, T=T, batch=1, when="1") for T in (2, 3, 4)]
    large = [record(9, T=T, batch=9, when="2") for T in (2, 3, 4)]
    assert found(claim("flat_in_T", from_T=2, to_T=4), *small, *large).holds == "yes"
    assert isinstance(find(claim("flat_in_T", from_T=2, to_T=4), *small[:2], *large[2:]), Missing)


@pytest.mark.parametrize(
    ("values", "holds"),
    [((0.9, 0.8, 0.85), "yes"), ((0.9, 0.01, 0.02), "cannot tell"), ((-0.9, -0.8, -0.85), "no"),
     ((0.5, -0.5, 0.1), "cannot tell"),
     ((0.9,), "cannot tell"), ((0.0, 0.0, 0.0), "cannot tell")],
    ids=str,
)  # fmt: skip
def test_positive_requires_an_interval_over_seeds_above_zero(
    claim: MakeClaim, record: MakeRecord, values: tuple[float, ...], holds: str
) -> None:
    finding = found(claim("positive"), *seeds(record, *values))
    assert (finding.holds, finding.measured, finding.n) == (holds, min(values), len(values))


def test_positive_uses_the_least_value_of_each_seed(claim: MakeClaim, record: MakeRecord) -> None:
    """Of six seeds one goes below zero once: positive in the mean, not every time."""
    early, late = seeds(record, *[0.9] * 6), seeds(record, *[0.8] * 5, -0.01, batch=2)
    assert found(claim("positive"), *early, *late).holds == "partly"
    assert found(claim("positive"), *early, *late[:5]).holds == "yes"
    assert found(claim("positive"), *early, *late[:5], lost=late[5:]).holds == "cannot tell"
