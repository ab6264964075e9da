"""The sampling of big products (tests/sampling.py)."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

from tests.sampling import pairwise

FACTORS = ("abcdefghijklmno", range(10), ("chain", "residual", "loop", "norm"))


def pairs(found: Any) -> set[Any]:
    return {(i, j, values[i], values[j]) for values in found for i, j in combinations(range(len(values)), 2)}


def test_pairwise_has_every_pair_in_few_combinations() -> None:
    found = pairwise(*FACTORS)
    assert pairs(found) == pairs(product(*FACTORS))
    assert len(found) == len(set(found)) <= 160  # 150 pairs of the two largest factors, 600 combinations


def test_pairwise_has_every_possible_pair_and_nothing_impossible() -> None:
    def possible(letter: str, number: int, kind: str) -> bool:
        return (kind != "loop" or number < 3) and letter != "c"

    found = pairwise(*FACTORS, possible=possible)
    assert all(possible(*values) for values in found)
    assert pairs(found) == pairs(values for values in product(*FACTORS) if possible(*values))


def test_pairwise_includes_a_value_that_is_added() -> None:
    assert any(letter == "z" for letter, *_ in pairwise([*FACTORS[0], "z"], *FACTORS[1:]))
    assert pairwise("ab", ()) == []
