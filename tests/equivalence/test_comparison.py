"""The comparison of two responses: spikes exactly, gradients up to rounding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from bench.probes.equivalence import CEILING, Comparison, Response, compare, in_double


@pytest.fixture(autouse=True)
def _in_double() -> Iterator[None]:
    """The gate's double precision."""
    with in_double():
        yield


def response(spike: float = 1.0, gradient: float = 1.0) -> Response:
    whole: list[Any] = [torch.ones(3), torch.full((2,), 1e-9)]
    return Response([torch.tensor([0.0, spike])], [whole[0] * gradient, whole[1] * gradient])


def test_comparison_fails_for_one_different_spike():
    assert compare(response(), response()).passes(0.0)
    result = compare(response(), response(spike=0.0))
    assert (result.spikes_differing, result.spikes_total) == (1, 2)
    assert not result.passes(0.0)


def test_comparison_of_gradients_is_relative_to_each_parameter():
    assert compare(response(), response(gradient=1.01)).gradient_difference == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize("gradient", [float("nan"), float("inf")])
def test_comparison_fails_for_a_nan_gradient(gradient):
    assert not compare(response(), response(gradient=gradient)).passes(1.0)
    assert not compare(response(gradient=gradient), response(gradient=gradient)).passes(1.0)


def test_comparison_fails_without_gradients():
    silent = Response([torch.zeros(2)], [torch.zeros(3), torch.zeros(2)])
    assert not compare(silent, silent).passes(1.0)


@pytest.mark.parametrize(
    ("difference", "noise", "passes"),
    [(9e-12, 0.0, True), (1.1e-11, 0.0, False), (9e-10, 1e-10, True), (1.1e-9, 1e-10, False), (2 * CEILING, 1.0, False)],
)
def test_comparison_tolerance_is_ten_noise_floors_up_to_a_ceiling(difference, noise, passes):
    assert Comparison(0, 1, difference).passes(noise) is passes


def test_comparison_rejects_networks_with_other_layers():
    with pytest.raises(ValueError, match="differ in their layers"):
        compare(response(), Response([], []))
