"""Batch norm over a single value has no variance: every backend rejects it, and no running variance becomes NaN."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from bench import algorithms, backends, zoo
from bench.counting.step import batch_for
from bench.errors import UserError
from bench.nets.batch_norm import require_variance
from bench.spec import AvgPool, BatchNorm, Conv, Dense, Flatten, NetworkSpec, NeuronSpec, Residual, Spike
from bench.training_step import support, training_step

NEURON = NeuronSpec()
WIDE = (Conv(3), BatchNorm(), Spike(NEURON), AvgPool(4, 4))
NARROW = (Conv(3, kernel=1, padding=0), BatchNorm(), Spike(NEURON))
CHAIN = NetworkSpec("normed", (2, 4, 4), 5, (*WIDE, *NARROW, Flatten(), Dense(5)), NEURON, 0, "this test")
NETS = {
    "chain": replace(CHAIN, parameters=(54 + 3 + 6) + (9 + 3 + 6) + 20),
    "residual": replace(
        CHAIN, name="normed residual", layers=(*WIDE, Residual((), NARROW), Flatten(), Dense(5)), parameters=63 + 18 + 20
    ),
}


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    real = zoo.spec
    monkeypatch.setattr(zoo, "spec", lambda name: NETS[name] if name in NETS else real(name))


def norms(net: nn.Module) -> list[Any]:
    return [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]


@pytest.mark.parametrize("backend", backends.names())
@pytest.mark.parametrize(
    ("normed", "algorithm"), [*(("chain", name) for name in algorithms.names()), ("residual", "bptt"), ("residual", "sltt")]
)
def test_batch_norm_over_a_single_value_is_rejected_before_training(normed: str, backend: str, algorithm: str) -> None:
    possible = support(normed, algorithm, backend)
    if not possible:
        pytest.skip(possible.reason)
    step = training_step(normed, algorithm, backend)
    before = [p.clone() for p in step.net.parameters()]
    with pytest.raises(UserError, match=r"batch norm 2 of 2 sees maps of one value.*batch of 1 .*2 or more"):
        step.run(*batch_for(step, T=4, batch=1, device="cpu"))
    assert all(torch.equal(a, b) for a, b in zip(before, step.net.parameters(), strict=True))
    step.run(*batch_for(step, T=4, batch=2, device="cpu"))
    assert len(norms(step.net)) == 2
    for norm in norms(step.net):
        assert bool(torch.isfinite(norm.running_var).all())


def test_batch_norm_over_larger_maps_accepts_one_sample() -> None:
    step = training_step("resnet20/cifar10", "bptt", "native")
    step.run(*batch_for(step, T=2, batch=1, device="cpu"))
    assert all(bool(torch.isfinite(norm.running_var).all()) for norm in norms(step.net))


@pytest.mark.parametrize("name", NETS)
def test_require_variance_names_the_batch_norm(name: str) -> None:
    with pytest.raises(UserError, match="batch norm 2 of 2 sees maps of one value"):
        require_variance(NETS[name], 1)


def test_every_network_of_the_catalogue_accepts_one_sample() -> None:
    for name in zoo.names():
        require_variance(zoo.spec(name), 1)
