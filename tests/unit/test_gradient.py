"""The gradient probe on algorithms that train classifiers beside the network."""

from __future__ import annotations

from typing import Any

import pytest

from bench.datasets.real import RealData
from bench.probes import gradient
from bench.spec import Case, Measurement

T = 4
WEIGHTS = ["0.weight", "3.weight", "6.weight", "10.weight", "12.weight"]


def measured(algorithm: str, **options: Any) -> dict[str, Measurement]:
    told = tuple(sorted(options.items()))
    asked = Case("p", "gradient", "ttl-small/digits", algorithm, "native", T, 8, "digits", options=told)
    return {m.metric: m for m in gradient.measure(asked, RealData(asked, None))}


@pytest.mark.parametrize("classifier", ["dense", "conv", "fixed"])
def test_of_blocks_the_networks_own_parameters_are_compared(classifier: str) -> None:
    found = measured("local", b=1, classifier=classifier)["gradient_cosine"]
    assert list(found.detail) == WEIGHTS
    assert found.detail["12.weight"] == 1  # the readout sees the same spikes and the same loss
    assert abs(found.detail["0.weight"]) < 0.99
    assert -1 < found.value < 0.99  # type: ignore[operator]


@pytest.mark.parametrize(("algorithm", "options"), [("local", {"b": 4}), ("ttl-bptt", {"K": T, "b": 9})])
def test_one_block_over_all_steps_has_bptts_gradient(algorithm: str, options: dict[str, Any]) -> None:
    found = measured(algorithm, **options)
    assert found["gradient_cosine"].value == pytest.approx(1, abs=1e-9)
    assert found["gradient_norm"].value == pytest.approx(1)


def test_one_block_is_truncated_bptt() -> None:
    one, other = measured("ttl-bptt", K=2, b=4, update="end"), measured("tbptt", K=2)
    assert one["gradient_cosine"].value == pytest.approx(other["gradient_cosine"].value, abs=1e-9)
    assert one["gradient_cosine"].value != pytest.approx(1, abs=1e-4)
