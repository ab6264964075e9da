"""Rule within on both sides of its bounds."""

from __future__ import annotations

import math

import pytest

from tests.ledger.finding import MakeClaim, MakeRecord, around, found, seeds


@pytest.mark.parametrize(
    ("mean", "half", "holds"),
    [(90.3, 0.2, "yes"), (89.7, 0.2, "yes"), (90.3, 0.21, "partly"), (90.7, 0.3, "partly"), (90.7, 0.31, "cannot tell"),
     (91.5, 0.4, "no"), (88.5, 0.4, "no"), (90.0, 5.0, "cannot tell")],
)  # fmt: skip
def test_within_compares_the_interval_over_seeds_with_the_bounds(
    claim: MakeClaim, record: MakeRecord, mean: float, half: float, holds: str
) -> None:
    c = claim("within", value=90.0, tolerance=0.5, partly=1.0, printed="90.0")
    finding = found(c, *around(record, mean, half))
    assert (finding.holds, finding.n) == (holds, 3)
    assert finding.measured == pytest.approx(mean)
    assert "95 % interval" in finding.reason


@pytest.mark.parametrize(
    ("direction", "above", "below"), [("more", "exceeded", "no"), ("less", "no", "exceeded"), (None, "no", "no")]
)
def test_within_is_exceeded_beyond_the_bound_in_the_claims_direction(
    claim: MakeClaim, record: MakeRecord, direction: str | None, above: str, below: str
) -> None:
    c = claim("within", value=90.0, tolerance=0.5, printed="90.0", **({"direction": direction} if direction else {}))
    assert found(c, *around(record, 92, 0.1)).holds == above
    assert found(c, *around(record, 88, 0.1)).holds == below


def test_within_is_never_partly_without_a_second_tolerance(claim: MakeClaim, record: MakeRecord) -> None:
    assert found(claim("within", value=90.0, tolerance=0.5), *around(record, 90.8, 0.1)).holds == "no"


def test_within_cannot_tell_from_one_run(claim: MakeClaim, record: MakeRecord) -> None:
    finding = found(claim("within", value=90.0, tolerance=0.5), record(90.0))
    assert (finding.holds, finding.n) == ("cannot tell", 1)
    assert "one run has no spread" in finding.reason


def test_within_compares_counts_exactly_in_decimals(claim: MakeClaim, record: MakeRecord) -> None:
    """0.1 + 0.2 is a hair above 0.3: a bound that is met in decimals is met."""
    c = claim("within", value=0.3, tolerance=0.0, select={"probe": "cost"})
    assert found(c, record(0.1 + 0.2, probe="cost")).holds == "yes"


def test_within_reports_spread_and_best_run(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=90.0, tolerance=9.5, n=3, spread=0.2, best=91.0)
    finding = found(c, *seeds(record, 89.0, 90.0, 92.0))
    assert (finding.holds, finding.n) == ("yes", 3)
    assert finding.spread == pytest.approx(math.sqrt(7 / 3))
    assert "best run 92 against 91" in finding.reason


def test_within_is_partly_with_fewer_runs_than_reported(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=90.0, tolerance=0.5, n=3)
    two = found(c, *seeds(record, 90.0, 90.01))
    assert (two.holds, two.n) == ("partly", 2)
    assert "2 of the 3 runs reported" in two.reason
    assert found(c, *seeds(record, 95.0, 95.01)).holds == "no"  # a miss stays a miss
    assert found(c, *seeds(record, 90.0, 90.01, 90.02, 90.03)).holds == "yes"  # more than reported is enough


def test_within_adds_sampling_noise_for_a_part_of_the_test_set(claim: MakeClaim, record: MakeRecord) -> None:
    """100 recordings at 90 %: standard error 3 points."""
    options = {"test_images": 100}
    c = claim("within", value=90.0, tolerance=4.0, select={"options": options})
    small = {"test images": 100}
    whole = claim("within", value=90.0, tolerance=4.0)
    assert found(whole, *around(record, 90, 0.1, detail=small)).holds == "yes"
    assert found(c, *around(record, 90, 0.1, detail=small, options=options)).holds == "cannot tell"
    wide = claim("within", value=90.0, tolerance=5.9, select={"options": options})
    assert found(wide, *around(record, 90, 0.1, detail=small, options=options)).holds == "yes"


def test_within_takes_differences_seed_by_seed_and_a_factor(claim: MakeClaim, record: MakeRecord) -> None:
    """However seeds vary, the difference of each is the same."""
    bptt, other = seeds(record, 3.0, 9.0), seeds(record, 1.0, 7.0, algorithm="sltt")
    difference = found(claim("within", value=2.0, tolerance=0.01, over={"algorithm": "sltt"}), *bptt, *other)
    assert (difference.holds, difference.measured) == ("yes", 2)
    finding = found(claim("within", value=36.0, tolerance=1.0, factor=6), *seeds(record, 6.0, 6.0))
    assert (finding.holds, finding.measured) == ("yes", 36)
