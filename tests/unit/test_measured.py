"""What was measured, as people read it: numbers with what they belong to, never a list of raw values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from bench.claims import Claim, Verdict
from bench.claims.claim import Part
from bench.figures.measured import labels, measured


def verdict(unit: str, asked: Sequence[Mapping[str, Any]], values: Sequence[Any], taken: Sequence[int] | None = None) -> Verdict:
    """A claim whose parts select ``asked``, of which those at ``taken`` (default: all) gave ``values``."""
    measures = [{"rule": "ratio", "select": select} for select in asked]
    claim = Claim("p", "c", "place", "so", "q", unit, "1", "checked", "s", measure={"parts": measures})
    there = range(len(asked)) if taken is None else taken
    parts = tuple(Part(measures[i], value) for i, value in zip(there, values, strict=True))
    return Verdict(claim, "partly", "; ".join(map(str, values)) or None, "why", parts=parts)


NATIVE, SPIKINGJELLY = {"backend": "native", "network": "n"}, {"backend": "spikingjelly", "network": "n"}
NETWORKS = [{"backend": "native", "network": name, "T": T} for name, T in (("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5))]
DATA = [{"dataset": "cifar10"}, {"dataset": "n-mnist"}]
ONLINE = [{"algorithm": "ottt-a"}, {"algorithm": "ottt-o"}]


@pytest.mark.parametrize(
    ("unit", "asked", "values", "shown"),
    [
        ("1", [NATIVE, SPIKINGJELLY], [3.32721, 3.88754], "3.33 (native), 3.89 (SpikingJelly)"),
        ("1", NETWORKS, [5.63026, 7.2, 9.6, 19.4972, 13.8], "5.63 to 19.5 on five networks"),
        ("B", NETWORKS, [2**20, 2, 3, 4, 2**30], "2 B to 1.00 GiB on five networks"),
        ("B", NETWORKS, [5 * 2**30, 2**30, 2**31, 2**32, 2**33], "1.00 to 8.00 GiB on five networks"),
        ("B of growth", ONLINE, [0, 0], "0 B of growth (OTTT-A and OTTT-O)"),
        ("points", DATA, [-1.65278, 1.1], "-1.65 points (CIFAR-10), 1.10 points (N-MNIST)"),
        ("1", [NATIVE, NATIVE], [1.0, 2.0], "1.00, 2.00"),
    ],
    ids=["two backends", "many networks", "many sizes", "many of one unit", "all equal", "two data sets", "nothing differs"],
)
def test_measured_parts_are_shown_as_a_sentence(unit: str, asked: list[dict[str, Any]], values: list[Any], shown: str) -> None:
    assert measured(verdict(unit, asked, values)) == shown


def test_parts_without_measurement_are_omitted_and_others_keep_their_names() -> None:
    found = verdict("1", [NATIVE, SPIKINGJELLY], [3.88754], taken=[1])
    assert measured(found) == "3.89 (SpikingJelly)"
    assert labels(found) == ["SpikingJelly"]


def test_measured_nothing_is_shown_as_a_dash() -> None:
    assert measured(verdict("1", [NATIVE, SPIKINGJELLY], [], taken=[])) == "–"
    assert measured(verdict("1", [NATIVE], [], taken=[])) == "–"
