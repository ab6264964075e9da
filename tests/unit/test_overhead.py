"""Overhead beside live tensors: the interval of ratios compared with brute force, and the usable part of a budget."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import UserError
from bench.overhead import HEADROOM, OVERHEAD, Overhead, usable

GIB = 2**30
SIZES = st.floats(1e3, 1e12)


def shares(low: float, high: float, n: int) -> list[float]:
    return [low + (high - low) * i / n for i in range(n + 1)]


@given(top=SIZES, bottom=SIZES)
def test_ratio_interval_equals_brute_force(top: float, bottom: float) -> None:
    low, high = OVERHEAD.ratio_interval(top, bottom)
    found = [
        ((1 + r) * top + fixed) / ((1 + q) * bottom + fixed)
        for fixed, r, q in itertools.product(
            shares(*OVERHEAD.fixed, 16), shares(*OVERHEAD.rounding, 4), shares(*OVERHEAD.rounding, 4)
        )
    ]
    assert low == pytest.approx(min(found), rel=1e-12)
    assert high == pytest.approx(max(found), rel=1e-12)
    assert low <= top / bottom <= high


@given(top=SIZES, bottom=SIZES)
def test_ratio_interval_is_inverted_by_swapping_sides(top: float, bottom: float) -> None:
    low, high = OVERHEAD.ratio_interval(top, bottom)
    assert OVERHEAD.ratio_interval(bottom, top) == pytest.approx((1 / high, 1 / low), rel=1e-12)


@pytest.mark.parametrize(
    ("top", "bottom", "low", "high"),
    [(2.68 * GIB, 826 * 2**20, 1.95, 3.66), (139.8 * GIB, 23.43 * GIB, 5.26, 6.57)],
    ids=["ottt: the overhead can change the answer", "large arms: it hardly can"],
)
def test_ratio_interval_by_hand(top: float, bottom: float, low: float, high: float) -> None:
    assert OVERHEAD.ratio_interval(top, bottom) == pytest.approx((low, high), abs=0.01)


def test_ratio_interval_without_overhead_is_the_ratio() -> None:
    assert Overhead((0, 0), (0, 0)).ratio_interval(6, 2) == (3, 3)


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_ratio_interval_rejects_invalid_bytes(value: float) -> None:
    with pytest.raises(UserError, match="top"):
        OVERHEAD.ratio_interval(value, 1)
    with pytest.raises(UserError, match="bottom"):
        OVERHEAD.ratio_interval(1, value)


@pytest.mark.parametrize("bounds", [(1, 0), (-1, 0), (0, math.inf), (math.nan, 1)], ids=str)
def test_overhead_rejects_invalid_bounds(bounds: tuple[float, float]) -> None:
    with pytest.raises(UserError, match="fixed"):
        Overhead(fixed=bounds)
    with pytest.raises(UserError, match="rounding"):
        Overhead(rounding=bounds)


def test_usable_is_the_budget_less_the_headroom() -> None:
    assert usable(8 * GIB) == 8 * GIB - HEADROOM == 7 * GIB
    assert usable(8 * GIB, 0) == 8 * GIB
    assert usable(8 * GIB, 2 * GIB) == 6 * GIB


@pytest.mark.parametrize(
    ("budget", "headroom", "told"),
    [
        (math.nan, 0, "budget"), (math.inf, 0, "budget"), (-1, 0, "budget"), (0, 0, "budget"),
        (GIB, math.nan, "headroom"), (GIB, -1, "headroom"), (GIB, math.inf, "headroom"),
        (GIB, GIB, "nothing is left"), (GIB, 2 * GIB, "nothing is left"),
    ],
    ids=str,
)  # fmt: skip
def test_usable_rejects_invalid_budgets(budget: float, headroom: float, told: str) -> None:
    with pytest.raises(UserError, match=told):
        usable(budget, headroom)


def test_overhead_imports_no_torch() -> None:
    code = "import sys, bench.overhead; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
