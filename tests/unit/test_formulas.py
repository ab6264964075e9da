"""bench/planning/formulas.py and coefficients.py against counts."""

from __future__ import annotations

import random

import pytest

from bench.planning.coefficients import STEPS, OfCatalogue, amounts, formula
from bench.planning.formulas import Formula, Peak, envelope, joined
from bench.registry import ALGORITHMS
from bench.training_step import support

NETWORK = "custom/n-mnist"
OPTIONS = {"tbptt": {"K": 4}, "ttl-bptt": {"K": 4, "b": 1}}
RUNNABLE = [name for name in ALGORITHMS if support(NETWORK, name, "native")]


@pytest.fixture(scope="module")
def counted() -> dict[str, tuple[OfCatalogue, Formula]]:
    return {}


def of(algorithm: str, counted: dict[str, tuple[OfCatalogue, Formula]]) -> tuple[OfCatalogue, Formula]:
    if algorithm not in counted:
        counter = OfCatalogue(NETWORK, algorithm, "native", tuple(OPTIONS.get(algorithm, {}).items()))
        counted[algorithm] = counter, formula(counter)
    return counted[algorithm]


def test_envelope_equals_the_largest_line_everywhere() -> None:
    draw = random.Random(0)
    for _ in range(200):
        lines = [(float(draw.randint(-50, 50)), float(draw.randint(0, 12))) for _ in range(draw.randint(1, 9))]
        least = envelope(lines)
        assert set(least) <= set(lines)
        for batch in (1, 2, 3, 7, 20, 1000):
            assert Peak(least)(batch) == Peak(tuple(lines))(batch), (lines, batch)


def test_joined_is_linear_between_points_and_beyond() -> None:
    points = [(1, 0.0), (3, 4.0), (5, 4.0)]
    assert [joined(points, K) for K in (1, 2, 3, 4, 7)] == [0, 2, 4, 4, 4]
    assert joined([(4, 9.0)], 100) == 9


@pytest.mark.sampled(every=6)
@pytest.mark.parametrize("algorithm", RUNNABLE)
def test_peak_at_a_counted_length_is_exact_for_any_batch(algorithm: str, counted: dict[str, tuple[OfCatalogue, Formula]]) -> None:
    counter, found = of(algorithm, counted)
    if found.kind != "plain":
        pytest.skip(f"{algorithm} has segments: see the next test")
    for T, batch in ((max(STEPS[2], OPTIONS.get(algorithm, {}).get("K", 1)), 57), (8, 1)):
        assert found.peak([T], batch) == counter.cost(T, batch).memory.total


@pytest.mark.sampled(every=4)
@pytest.mark.parametrize("algorithm", RUNNABLE)
@pytest.mark.parametrize(("T", "batch"), [(19, 31), (40, 5)])
def test_formula_of_unused_settings_is_within_one_per_cent(
    algorithm: str, T: int, batch: int, counted: dict[str, tuple[OfCatalogue, Formula]]
) -> None:
    counter, found = of(algorithm, counted)
    cost, lengths = counter.cost(T, batch), found.lengths(T)
    assert found.peak(lengths, batch) == pytest.approx(cost.memory.total, rel=0.01)
    macs = amounts(counter).macs(T, found.again(lengths), len(lengths), batch)
    if T % OPTIONS.get(algorithm, {}).get("K", 1) == 0:  # a last window that is shorter has another cost
        assert macs == pytest.approx(sum(cost.macs.dense.values()), rel=1e-6)
