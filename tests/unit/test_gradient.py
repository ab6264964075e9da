"""The gradient probe, also for algorithms with auxiliary classifiers."""

from __future__ import annotations

from typing import Any

import pytest

from bench.case import Case
from bench.datasets.real import RealData
from bench.errors import UserError
from bench.measurement import Measurement
from bench.probes import gradient
from bench.probes.resources import Resources

T = 4
WEIGHTS = ["0.weight", "3.weight", "6.weight", "10.weight", "12.weight"]


def measured(algorithm: str, **options: Any) -> dict[str, Measurement]:
    told = tuple(sorted(options.items()))
    asked = Case("p", "gradient", "ttl-small/digits", algorithm, "native", T, 8, "digits", options=told)
    return {m.metric: m for m in gradient.measure(asked, Resources(RealData(asked, None)))}


@pytest.mark.parametrize("classifier", ["dense", "conv", "fixed"])
def test_gradient_probe_compares_only_the_networks_own_parameters(classifier: str) -> None:
    found = measured("local", b=1, classifier=classifier)["gradient_cosine"]
    assert list(found.detail) == WEIGHTS
    assert found.detail["12.weight"] == 1  # the readout has the same input and loss as in BPTT
    assert abs(found.detail["0.weight"]) < 0.99
    assert -1 < found.value < 0.99  # type: ignore[operator]


@pytest.mark.parametrize(("algorithm", "options"), [("local", {"b": 4}), ("ttl-bptt", {"K": T, "b": 9})])
def test_gradient_cosine_of_one_block_over_all_steps_is_one(algorithm: str, options: dict[str, Any]) -> None:
    found = measured(algorithm, **options)
    assert found["gradient_cosine"].value == pytest.approx(1, abs=1e-9)
    assert found["gradient_norm"].value == pytest.approx(1)


def test_gradient_of_one_block_is_that_of_truncated_bptt() -> None:
    one, other = measured("ttl-bptt", K=2, b=4, update="end"), measured("tbptt", K=2)
    assert one["gradient_cosine"].value == pytest.approx(other["gradient_cosine"].value, abs=1e-9)
    assert one["gradient_cosine"].value != pytest.approx(1, abs=1e-4)


def test_gradient_probe_averages_over_batches_and_lists_each() -> None:
    one, several = measured("tbptt", K=2), measured("tbptt", K=2, batches=3)
    first, *others = several["gradient_cosine"].detail["batches"]
    assert first == pytest.approx(one["gradient_cosine"].value, abs=1e-6)
    assert len(set(others)) == 2
    assert several["gradient_cosine"].value == pytest.approx((first + sum(others)) / 3, abs=1e-6)
    assert several["gradient_cosine"].detail["least"] == pytest.approx(min(first, *others), abs=1e-6)
    assert several["gradient_norm"].detail["least"] <= several["gradient_norm"].value  # type: ignore[operator]


@pytest.mark.parametrize("algorithm", ["bptt", "replay"])
def test_gradient_probe_compares_at_the_trained_weights(algorithm: str) -> None:
    """The cosine of an exact algorithm is still 1; with BPTT's gradient at the initial weights it would not be."""
    assert measured(algorithm, after_batches=2)["gradient_cosine"].value == pytest.approx(1, abs=1e-6)


def test_gradient_probe_trains_on_batches_before_the_compared_ones() -> None:
    before, after = measured("tbptt", K=2, batches=2), measured("tbptt", K=2, after_batches=1)
    assert after["gradient_cosine"].value != pytest.approx(before["gradient_cosine"].value, abs=1e-6)
    unmoved = measured("tbptt", K=2, after_batches=1, lr=0.0)
    assert unmoved["gradient_cosine"].value == pytest.approx(before["gradient_cosine"].detail["batches"][1], abs=1e-6)


@pytest.mark.parametrize(("option", "value"), [("batches", 0), ("batches", 1.5), ("after_batches", -1), ("after_batches", "all")])
def test_gradient_probe_rejects_invalid_numbers_of_batches(option: str, value: Any) -> None:
    with pytest.raises(UserError, match=f"{option} = {value!r}.*use "):
        measured("tbptt", K=2, **{option: value})
