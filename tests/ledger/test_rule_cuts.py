"""Rules lowered_by and raised_by: the effect of a cut, seed by seed."""

from __future__ import annotations

import pytest

from bench.claims.claim import Claim
from bench.claims.rules import Missing
from bench.design_space import Cell
from bench.errors import UserError
from tests.ledger.finding import MakeClaim, MakeRecord, find, found, runs

WHOLE, CUT = Cell(10), Cell(2)


def cut(claim: MakeClaim, rule: str = "raised_by", cut: str = "time") -> Claim:
    c = claim(rule, cut=cut, select={"T": 10, "options": {"lr": 0.1}})
    del c.measure["select"]["algorithm"]  # type: ignore[attr-defined]
    return c


@pytest.mark.parametrize(
    ("changes", "raised", "lowered"),
    [
        ((1.0, 1.1, 0.9), "yes", "no"),
        ((3.0, -1.0, 0.5), "cannot tell", "cannot tell"),
        ((-1.0, -1.1, -0.9), "no", "yes"),
        ((-3.0, 1.0, -0.5), "cannot tell", "cannot tell"),
        ((0.0, 0.0), "cannot tell", "cannot tell"),
        ((2.0, 2.0), "yes", "no"),
    ],
)
def test_raised_by_and_lowered_by_need_an_interval_without_zero(
    claim: MakeClaim, record: MakeRecord, changes: tuple[float, ...], raised: str, lowered: str
) -> None:
    records = runs(record, {WHOLE: [70.0] * len(changes), CUT: [70.0 + change for change in changes]})
    for rule, holds in (("raised_by", raised), ("lowered_by", lowered)):
        finding = found(cut(claim, rule), *records)
        assert (finding.holds, finding.n) == (holds, len(changes))
        assert finding.measured == pytest.approx(sum(changes) / len(changes))


def test_raised_by_uses_students_interval_of_changes_per_seed(claim: MakeClaim, record: MakeRecord) -> None:
    """Changes 1, 2, 6: mean 3, s = sqrt(7), t(2) = 4.303: 3 +- 6.573; the spread between seeds plays no part."""
    finding = found(cut(claim), *runs(record, {CUT: [10.0, 52.0, 96.0], WHOLE: [9.0, 50.0, 90.0]}))
    assert "+3.00, 95 % interval -3.57 to 9.57" in finding.reason
    assert "n = 3 seeds, 1 pairs of cells each, effect size 1.13" in finding.reason


def test_raised_by_averages_all_pairs_of_a_seed_that_differ_in_the_cut_alone(claim: MakeClaim, record: MakeRecord) -> None:
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


def test_raised_by_cannot_tell_if_the_grid_lacks_a_run(claim: MakeClaim, record: MakeRecord) -> None:
    grid = runs(record, {Cell(10): [50, 50, 50], Cell(5): [60, 60, 60], Cell(2): [90, 90, 90]})
    assert found(cut(claim), *grid).holds == "yes"
    for i in range(len(grid)):
        finding = find(cut(claim), *grid[:i], *grid[i + 1 :], lost=[grid[i]])
        assert isinstance(finding, Missing) or finding.holds == "cannot tell"


def test_raised_by_keeps_the_test_sets_noise_for_any_number_of_seeds(claim: MakeClaim, record: MakeRecord) -> None:
    """1.96 sqrt(2 * 0.25 / 100) of a gap in points, whose share is not known: 13.9 points."""
    few = {"detail": {"test images": 100}, "unit": "points"}
    grid = {Cell(10): [5.0] * 9, Cell(5): [18.5] * 9, Cell(2): [18.5] * 9}
    finding = found(cut(claim), *runs(record, grid, **few))
    assert finding.holds == "cannot tell"
    assert "of it 13.86 to either side by the test set's size" in finding.reason
    assert found(cut(claim), *runs(record, grid)).holds == "yes"


def test_raised_by_needs_two_seeds_and_a_pair(claim: MakeClaim, record: MakeRecord) -> None:
    assert isinstance(find(cut(claim), *runs(record, {WHOLE: [50], CUT: [60]})), Missing)
    assert isinstance(find(cut(claim), *runs(record, {Cell(10): [50, 50], Cell(2, 1): [60, 60]})), Missing)
    assert isinstance(find(cut(claim)), Missing)


def test_raised_by_does_not_mix_recipes_or_scales(claim: MakeClaim, record: MakeRecord) -> None:
    small = runs(record, {WHOLE: [50, 50], CUT: [60, 60]}, scale="laptop")
    assert isinstance(find(cut(claim), *small), Missing)  # the claim asks for full
    large = runs(record, {WHOLE: [70, 70], CUT: [69, 69]}, batch=4)
    assert found(cut(claim), *small, *large).measured == -1  # the worse of two spaces
    other = runs(record, {WHOLE: [70, 70], CUT: [71, 71]}, options={"lr": 0.5})
    assert isinstance(find(cut(claim), *other), Missing)


def test_raised_by_rejects_an_unknown_cut(claim: MakeClaim, record: MakeRecord) -> None:
    with pytest.raises(UserError, match="unknown cut 'tim'"):
        find(cut(claim, cut="tim"), *runs(record, {WHOLE: [50, 50], CUT: [60, 60]}))
