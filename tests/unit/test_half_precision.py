"""Memory in half precision is counted on fake CPU tensors: in float32 they give the bytes of device 'meta'."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from bench import backends, probes
from bench.case import Case
from bench.counting.fake import fake_tensors
from bench.counting.step import batch_for, cost_of
from bench.probes.cost_half import peak_of
from bench.training_step import training_step

RESIDUAL, CHAIN, NORM_FREE = "resnet18/cifar10", "vgg11-bn/cifar10-dvs", "nf-resnet34-sltt/imagenet"


def case(probe: str, network: str, algorithm: str, backend: str = "native", T: int = 3, **options: Any) -> Case:
    return Case("sltt", probe, network, algorithm, backend, T, batch=4, options=tuple(options.items()))


@pytest.mark.sampled(every=2)
@pytest.mark.parametrize(
    ("network", "algorithm"),
    [
        (RESIDUAL, "bptt"),
        (RESIDUAL, "sltt"),
        (CHAIN, "bptt"),
        (CHAIN, "sltt"),
        pytest.param(NORM_FREE, "ottt-a", marks=pytest.mark.slow),
    ],
)
def test_fake_tensors_in_float32_give_the_bytes_of_device_meta(network: str, algorithm: str) -> None:
    (on_meta,) = [m for m in probes.measure(case("cost", network, algorithm)) if m.metric == "peak_live_bytes"]
    on_fake = peak_of(case("cost-half", network, algorithm), half=False)
    assert on_fake.total == on_meta.value
    assert {**on_fake.by_category, "operator": on_fake.operator} == on_meta.detail


@pytest.mark.parametrize("half", [False, True], ids=["float32", "half"])
@pytest.mark.parametrize("algorithm", ["bptt", "sltt"])
def test_fake_tensors_give_the_bytes_of_real_ones_on_spikingjelly(algorithm: str, half: bool) -> None:
    """Its neuron is one operator on a GPU and on device 'meta', and a chain of plain ones on a CPU, as in the paper's version."""
    support = backends.available("spikingjelly")
    if not support:
        pytest.skip(support.reason)
    step = training_step("vgg-sws-small/digits", algorithm, "spikingjelly")
    x, target = batch_for(step, 3, 4, "cpu")
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        real = cost_of(step, x, target).memory
    assert peak_of(case("cost-half", "vgg-sws-small/digits", algorithm, "spikingjelly"), half=half) == real


def test_half_precision_halves_the_potentials_on_spikingjelly_alone() -> None:
    """Native backends keep membrane potentials, most of what this network saves besides its spikes, in float32."""
    support = backends.available("spikingjelly")
    if not support:
        pytest.skip(support.reason)

    def share(backend: str) -> float:
        asked = replace(case("cost-half", "vgg-sws-small/digits", "bptt", backend), batch=64)
        half, whole = (peak_of(asked, half=half).by_category["saved for backward"] for half in (True, False))
        return half / whole

    assert share("spikingjelly") < 0.6 < share("native") < 0.9


def test_steps_drawn_on_fake_tensors_are_real() -> None:
    """SLTT-K goes on with the time steps that it draws; a permutation without values would stop it."""
    torch.manual_seed(0)
    with fake_tensors():
        drawn = torch.randperm(6)[:2].tolist()
    torch.manual_seed(0)
    assert drawn == torch.randperm(6)[:2].tolist()
    (one,) = probes.measure(case("cost-half", RESIDUAL, "sltt-k", k=1))
    (whole,) = probes.measure(case("cost-half", RESIDUAL, "sltt"))
    assert 0 < one.value <= whole.value


def test_networks_outside_of_fake_tensors_are_real() -> None:
    with fake_tensors():
        training_step("vgg5-small/digits", "bptt", "native")
    step = training_step("vgg5-small/digits", "bptt", "native")
    assert all(type(p.data) is torch.Tensor for p in step.net.parameters())
