"""Every rule on both sides of its bound."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import pytest

from bench.cells import Cell, setting
from bench.claims.claim import Claim
from bench.claims.evidence import Evidence
from bench.claims.rules import RULES, Finding, Missing, printed_number
from bench.spec import Record, UserError

MakeRecord = Callable[..., Record]
MakeClaim = Callable[..., Claim]


def find(claim: Claim, *records: Record) -> Finding | Missing:
    (measure,) = claim.parts
    return RULES[measure["rule"]].find(claim, measure, Evidence(records))


def found(claim: Claim, *records: Record) -> Finding:
    finding = find(claim, *records)
    assert isinstance(finding, Finding), finding
    return finding


# --------------------------------------------------------------------------- within


@pytest.mark.parametrize(
    ("value", "holds"), [(90.5, "yes"), (89.5, "yes"), (90.51, "partly"), (91, "partly"), (91.01, "no"), (88.99, "no")]
)
def test_within(claim: MakeClaim, record: MakeRecord, value: float, holds: str) -> None:
    c = claim("within", value=90.0, tolerance=0.5, partly=1.0, printed="90.0")
    assert found(c, record(value)).holds == holds


def test_within_has_no_partly_unless_told(claim: MakeClaim, record: MakeRecord) -> None:
    assert found(claim("within", value=90.0, tolerance=0.5), record(90.51)).holds == "no"


def test_within_is_not_decided_by_binary_fractions(claim: MakeClaim, record: MakeRecord) -> None:
    """0.1 + 0.2 is a hair above 0.3: a bound that is met in decimals is met."""
    assert found(claim("within", value=0.3, tolerance=0.0), record(0.1 + 0.2)).holds == "yes"


def test_within_takes_the_mean_over_seeds(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=90.0, tolerance=0.5, n=3, spread=0.2, best=91.0)
    finding = found(c, *(record(v, seed=seed) for seed, v in enumerate((89.0, 90.0, 92.0))))
    assert (finding.holds, finding.n) == ("yes", 3)
    assert finding.measured == pytest.approx(271 / 3)
    assert finding.spread == pytest.approx(math.sqrt(7 / 3))
    assert "best run 92 against 91" in finding.reason


def test_fewer_runs_than_reported_make_it_partly(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=90.0, tolerance=0.5, n=3)
    two = found(c, record(90.0, seed=0), record(90.2, seed=1))
    assert (two.holds, two.n) == ("partly", 2)
    assert "2 of the 3 runs reported" in two.reason
    assert found(c, record(95.0)).holds == "no"  # a miss stays a miss
    assert found(c, *(record(90.0, seed=s) for s in range(4))).holds == "yes"  # more than reported is enough


def test_runs_that_differ_in_more_than_the_seed_are_not_averaged(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=90.0, tolerance=0.5)
    finding = found(c, record(90.0, batch=2, when="2"), record(10.0, batch=1, seed=1, when="1"))
    assert (finding.holds, finding.n) == ("yes", 1)


def test_within_takes_a_difference_and_a_factor(claim: MakeClaim, record: MakeRecord) -> None:
    bptt, other = record(3.0), record(1.0, algorithm="sltt")
    assert found(claim("within", value=2.0, tolerance=0.0, over={"algorithm": "sltt"}), bptt, other).measured == 2
    finding = found(claim("within", value=18.0, tolerance=0.0, factor=6), bptt)
    assert (finding.holds, finding.measured) == ("yes", 18)
    spread = found(claim("within", value=1.0, tolerance=0.0, factor=2), record(0.0), record(1.0, seed=1)).spread
    assert spread == pytest.approx(math.sqrt(2))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_diverged_run_is_never_within(claim: MakeClaim, record: MakeRecord, bad: float) -> None:
    c = claim("within", value=90.0, tolerance=1e9, partly=1e10)
    finding = found(c, record(90.0), record(bad, seed=1))
    assert finding.holds == "no"
    assert finding.spread is None
    assert "nan" in finding.reason


# --------------------------------------------------------------------------- ratio, at_least


@pytest.mark.parametrize(("top", "holds"), [(20, "yes"), (30, "yes"), (19.99, "no"), (30.01, "no")])
def test_ratio(claim: MakeClaim, record: MakeRecord, top: float, holds: str) -> None:
    c = claim("ratio", low=2, high=3, over={"algorithm": "sltt"})
    finding = found(c, record(top), record(10, algorithm="sltt"))
    assert finding.holds == holds
    assert "bptt against sltt" in finding.reason


@pytest.mark.parametrize(("top", "bottom"), [(1, 0), (math.nan, 1), (1, math.nan), (math.inf, 1)])
def test_a_ratio_that_is_no_number_holds_nowhere(claim: MakeClaim, record: MakeRecord, top: float, bottom: float) -> None:
    c = claim("ratio", low=-1e308, high=1e308, over={"algorithm": "sltt"})
    assert found(c, record(top), record(bottom, algorithm="sltt")).holds == "no"


@pytest.mark.parametrize(
    ("changes", "value", "holds"),
    [({}, 70.0, "yes"), ({}, 69.99, "no"), ({"value": 1.0}, 71.0, "yes"), ({"value": 1.0}, 70.99, "no"),
     ({"value": 1.0, "tolerance": 0.2}, 70.8, "yes"), ({"value": 1.0, "tolerance": 0.2}, 70.79, "no"),
     ({}, math.nan, "no")],
)  # fmt: skip
def test_at_least(claim: MakeClaim, record: MakeRecord, changes: dict[str, Any], value: float, holds: str) -> None:
    c = claim("at_least", over={"algorithm": "sltt"}, **changes)
    assert found(c, record(value), record(70.0, algorithm="sltt")).holds == holds


# --------------------------------------------------------------------------- equal


@pytest.mark.parametrize(
    ("printed", "value", "holds"),
    [("9.2M", 9_150_001, "yes"), ("9.2M", 9_249_999, "yes"), ("9.2M", 9_149_999, "no"), ("9.2M", 9_250_001, "no"),
     ("22M", 21_797_688, "yes"), ("22M", 21_499_999, "no"), ("400", 400, "yes"), ("400", 401, "no"),
     ("1.5k", 1_549, "yes"), ("0.19±0.01", 0.1949, "yes"), ("0.19", 0.1951, "no")],
)  # fmt: skip
def test_equal_rounds_to_what_is_printed(claim: MakeClaim, record: MakeRecord, printed: str, value: float, holds: str) -> None:
    finding = found(claim("equal", printed=printed, value=0.0), record(value))
    assert (finding.holds, finding.measured) == (holds, value)
    assert f"printed {printed}" in finding.reason


def test_a_word_is_no_number(claim: MakeClaim, record: MakeRecord) -> None:
    with pytest.raises(UserError, match=r"m of p/.* is 'many'"):
        find(claim("equal", printed="9.2M", value=0.0), record("many"))


@pytest.mark.parametrize(
    ("text", "number"),
    [("9.2M", ("9.2", 1, 10**6)), ("≈0.19", ("0.19", 2, 1)), ("93.52±0.06 (93.58)", ("93.52", 2, 1)),
     ("-1", ("-1", 0, 1)), ("3 GB", ("3", 0, 1))],
)  # fmt: skip
def test_printed_number(text: str, number: tuple[str, int, int]) -> None:
    assert printed_number(text) == (Decimal(number[0]), *number[1:])


@pytest.mark.parametrize("text", ["", "flat in T", "> 0", "M"])
def test_what_begins_with_no_number(text: str) -> None:
    with pytest.raises(ValueError, match="does not begin with a number"):
        printed_number(text)


# --------------------------------------------------------------------------- flat, affine

HUGE = 2**60  # bytes that a float cannot tell apart


def over_T(record: MakeRecord, values: dict[int, int]) -> list[Record]:
    return [record(value, T=T) for T, value in values.items()]


@pytest.mark.parametrize(("off", "holds"), [(0, "yes"), (1, "no"), (-1, "no")])
@pytest.mark.parametrize("at", [2, 3, 4])
def test_flat_is_exact(claim: MakeClaim, record: MakeRecord, at: int, off: int, holds: str) -> None:
    values = {1: 5, 2: HUGE, 3: HUGE, 4: HUGE, 9: 7}  # T outside the claim does not count
    values[at] += off
    finding = found(claim("flat_in_T", from_T=2, to_T=4), *over_T(record, values))
    assert (finding.holds, finding.measured, finding.n) == (holds, abs(off), 3)


@pytest.mark.parametrize(("off", "holds"), [(0, "yes"), (1, "no"), (-1, "no")])
@pytest.mark.parametrize("at", [2, 3, 5])
def test_affine_is_exact(claim: MakeClaim, record: MakeRecord, at: int, off: int, holds: str) -> None:
    values = {1: 0, 2: HUGE, 3: HUGE + 10, 5: HUGE + 30, 9: 7}
    values[at] += off
    finding = found(claim("affine_in_T", from_T=2, to_T=5), *over_T(record, values))
    assert finding.holds == holds
    assert (finding.measured == 10) == (off == 0)


@pytest.mark.parametrize("slope", [0, -1])
def test_affine_must_grow(claim: MakeClaim, record: MakeRecord, slope: int) -> None:
    finding = found(claim("affine_in_T", from_T=2, to_T=4), *over_T(record, {T: 100 + slope * T for T in (2, 3, 4)}))
    assert (finding.holds, finding.measured) == ("no", slope)


@pytest.mark.parametrize("rule", ["flat_in_T", "affine_in_T"])
@pytest.mark.parametrize("steps", [(), (2, 4), (2, 3), (3, 4), (1, 2, 3, 5)])
def test_both_ends_and_a_point_between_are_needed(
    claim: MakeClaim, record: MakeRecord, rule: str, steps: tuple[int, ...]
) -> None:
    missing = find(claim(rule, from_T=2, to_T=4), *over_T(record, dict.fromkeys(steps, 1)))
    assert isinstance(missing, Missing)
    assert "T = 2, 4 and between" in missing.what


@pytest.mark.parametrize("rule", ["flat_in_T", "affine_in_T"])
@pytest.mark.parametrize("bad", [math.nan, "many", None])
def test_an_exact_rule_takes_finite_numbers_alone(claim: MakeClaim, record: MakeRecord, rule: str, bad: Any) -> None:
    with pytest.raises(UserError, match="an exact rule takes numbers"):
        find(claim(rule, from_T=1, to_T=3), record(1, T=1), record(bad, T=2), record(1, T=3))


def test_series_of_different_cases_do_not_mix(claim: MakeClaim, record: MakeRecord) -> None:
    """Flat at either batch size, growing only if points of both are taken for one curve."""
    small = [record(1, T=T, batch=1, when="1") for T in (2, 3, 4)]
    large = [record(9, T=T, batch=9, when="2") for T in (2, 3, 4)]
    assert found(claim("flat_in_T", from_T=2, to_T=4), *small, *large).holds == "yes"
    assert isinstance(find(claim("flat_in_T", from_T=2, to_T=4), *small[:2], *large[2:]), Missing)


# --------------------------------------------------------------------------- positive


@pytest.mark.parametrize(("least", "holds"), [(1e-12, "yes"), (0, "no"), (-1e-12, "no"), (math.nan, "no"), (math.inf, "yes")])
@pytest.mark.parametrize("place", [0, 1])
def test_positive(claim: MakeClaim, record: MakeRecord, least: float, holds: str, place: int) -> None:
    values = [0.9, 0.9]
    values[place] = least
    finding = found(claim("positive"), *(record(v, seed=i) for i, v in enumerate(values)))
    assert (finding.holds, finding.n) == (holds, 2)


# --------------------------------------------------------------------------- evidence


@pytest.mark.parametrize("rule", ["within", "ratio", "at_least"])
def test_a_missing_side_is_named(claim: MakeClaim, record: MakeRecord, rule: str) -> None:
    c = claim(rule, value=1.0, tolerance=1.0, low=0, high=9, over={"algorithm": "sltt"})
    left, right = find(c, record(1, algorithm="sltt")), find(c, record(1))
    assert isinstance(left, Missing)
    assert isinstance(right, Missing)
    assert "bptt" in left.what
    assert "sltt" in right.what


@pytest.mark.parametrize("rule", ["within", "equal", "positive", "flat_in_T"])
def test_evidence_below_the_claims_scale_decides_nothing(claim: MakeClaim, record: MakeRecord, rule: str) -> None:
    c = claim(rule, value=1.0, tolerance=1.0, from_T=1, to_T=3, scale="laptop")
    assert isinstance(find(c, *(record(1, T=T, scale="smoke") for T in (1, 2, 3))), Missing)
    assert isinstance(find(c, *(record(1, T=T, scale="laptop") for T in (1, 2, 3))), Finding)


def test_a_selector_asks_for_options_and_for_an_entry_of_the_detail(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=58.9, tolerance=0.0, select={"detail": "1", "options": {"epochs": 100}})
    right = record(0, options={"epochs": 100, "lr": 1}, detail={"1": 58.9, "2": 0.0})
    assert found(c, right).holds == "yes"
    assert isinstance(find(c, record(58.9, options={"epochs": 20}, detail={"1": 58.9})), Missing)
    assert isinstance(find(c, record(58.9, options={"epochs": 100}, detail={"2": 58.9})), Missing)


def test_another_metric_probe_or_network_is_no_evidence(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("positive", select={"network": "net"})
    assert isinstance(find(c, record(metric="other"), record(probe="clock"), record(network="another")), Missing)


# --------------------------------------------------------------------------- lowered_by, raised_by

WHOLE, CUT = Cell(10), Cell(2)


def runs(record: MakeRecord, accuracies: Mapping[Cell, Sequence[float]], **more: Any) -> list[Record]:
    """One record a cell and seed."""
    found = []
    for cell, values in accuracies.items():
        algorithm, own = setting(cell, 10)
        here = {"algorithm": algorithm, "options": {**own, "lr": 0.1}, "T": 10, **more}
        found += [record(value, seed=seed, **here) for seed, value in enumerate(values)]
    return found


def cut(claim: MakeClaim, rule: str = "raised_by", cut: str = "time") -> Claim:
    c = claim(rule, cut=cut, select={"T": 10})
    del c.measure["select"]["algorithm"]  # type: ignore[attr-defined]
    return c


@pytest.mark.parametrize(
    ("changes", "raised", "lowered"),
    [
        ((1.0, 1.1, 0.9), "yes", "no"),
        ((3.0, -1.0, 0.5), "partly", "no"),
        ((-1.0, -1.1, -0.9), "no", "yes"),
        ((-3.0, 1.0, -0.5), "no", "partly"),
        ((0.0, 0.0), "no", "no"),
        ((2.0, 2.0), "yes", "no"),
    ],
)
def test_a_change_is_to_one_side_and_needs_an_interval_without_zero(
    claim: MakeClaim, record: MakeRecord, changes: tuple[float, ...], raised: str, lowered: str
) -> None:
    records = runs(record, {WHOLE: [70.0] * len(changes), CUT: [70.0 + change for change in changes]})
    for rule, holds in (("raised_by", raised), ("lowered_by", lowered)):
        finding = found(cut(claim, rule), *records)
        assert (finding.holds, finding.n) == (holds, len(changes))
        assert finding.measured == pytest.approx(sum(changes) / len(changes))


def test_the_interval_is_students_of_the_changes_seed_by_seed(claim: MakeClaim, record: MakeRecord) -> None:
    """Changes 1, 2, 6: mean 3, s = sqrt(7), t(2) = 4.303: 3 +- 6.573; the spread between seeds plays no part."""
    finding = found(cut(claim), *runs(record, {CUT: [10.0, 52.0, 96.0], WHOLE: [9.0, 50.0, 90.0]}))
    assert "+3.00, 95 % interval -3.57 to 9.57, n = 3 seeds, 1 pairs of cells each, effect size 1.13" in finding.reason


def test_a_seed_counts_once_by_the_mean_over_all_pairs_that_differ_in_the_cut_alone(claim: MakeClaim, record: MakeRecord) -> None:
    grid = {Cell(10): [50, 60], Cell(10, 1): [40, 40], Cell(5): [53, 62], Cell(2): [51, 66], Cell(2, 1): [45, 45]}
    finding = found(cut(claim), *runs(record, grid))
    by_seed = [(3 + 1 + 5) / 3, (2 + 6 + 5) / 3]
    assert finding.measured == pytest.approx(sum(by_seed) / 2)
    assert finding.spread == pytest.approx(abs(by_seed[0] - by_seed[1]) / 2**0.5)
    assert "3 pairs" in finding.reason
    assert len(finding.records) == 10
    across = found(cut(claim, "lowered_by", "layers"), *runs(record, grid))
    assert across.measured == pytest.approx(((-10 - 6) / 2 + (-20 - 21) / 2) / 2)  # Cell(5) has no partner
    assert len(across.records) == 8


def test_pairs_that_some_seed_lacks_are_left_out(claim: MakeClaim, record: MakeRecord) -> None:
    records = runs(record, {Cell(10): [50, 50, 50], Cell(5): [60, 60, 60], Cell(2): [90, 90]})
    assert found(cut(claim), *records).measured == 10
    assert isinstance(find(cut(claim), *runs(record, {Cell(10): [50, 50], Cell(5): [60]})), Missing)


def test_one_seed_or_no_pair_is_missing(claim: MakeClaim, record: MakeRecord) -> None:
    assert isinstance(find(cut(claim), *runs(record, {WHOLE: [50], CUT: [60]})), Missing)
    assert isinstance(find(cut(claim), *runs(record, {Cell(10): [50, 50], Cell(2, 1): [60, 60]})), Missing)
    assert isinstance(find(cut(claim)), Missing)


def test_other_recipes_and_lower_scales_are_other_spaces(claim: MakeClaim, record: MakeRecord) -> None:
    small = runs(record, {WHOLE: [50, 50], CUT: [60, 60]}, scale="laptop")
    assert isinstance(find(cut(claim), *small), Missing)  # the claim asks for full
    large = runs(record, {WHOLE: [70, 70], CUT: [71, 71]}, batch=4)
    assert found(cut(claim), *small, *large).measured == 1


def test_an_unknown_cut_is_told(claim: MakeClaim, record: MakeRecord) -> None:
    with pytest.raises(UserError, match="unknown cut 'tim'"):
        find(cut(claim, cut="tim"), *runs(record, {WHOLE: [50, 50], CUT: [60, 60]}))


# --------------------------------------------------------------------------- some_setting


def costs(record: MakeRecord, algorithm: str, peak: int, error: int, **case: Any) -> list[Record]:
    macs = {"forward": 10, "error to input": error, "error to weight": 10}
    here = {"probe": "cost", "algorithm": algorithm, "T": 10, **case}
    return [
        record(peak, metric="peak_live_bytes", detail={"saved for backward": peak // 2}, **here),
        record(20 + error, metric="step_macs", detail=macs, **here),
    ]


def test_some_setting_takes_any_convention_of_each_quantity(claim: MakeClaim, record: MakeRecord) -> None:
    measure = {"algorithm": "ttl-bptt", "reports": {"memory": [-90, 0.5], "MACs": [-99.6, 0.05]}}
    c = claim("some_setting", **measure)
    known = [*costs(record, "bptt", 1000, 1000), *costs(record, "bptt", 4000, 1000, T=20)]
    fits = costs(record, "ttl-bptt", 100, 4, options={"b": 1})
    misses = costs(record, "ttl-bptt", 100, 5, options={"b": 2})
    finding = found(c, *known, *fits, *misses)
    assert (finding.holds, finding.measured, finding.n) == ("partly", 1, 2)  # possible, not identified
    assert {r.case["options"]["b"] for r in finding.records} == {1}
    assert found(c, *known, *misses).holds == "no"
    assert "0 of 1 settings" in found(c, *known, *misses).reason
    assert "0.1 points off" in found(c, *known, *misses).reason


def test_some_setting_compares_within_one_network_and_T(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("some_setting", algorithm="ttl-bptt", reports={"memory": [-90, 0.5]})
    other = costs(record, "bptt", 1000, 1000, T=20)
    assert isinstance(find(c, *other, *costs(record, "ttl-bptt", 100, 4)), Missing)
    assert isinstance(find(c), Missing)
