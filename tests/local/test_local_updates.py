"""Local training: updates, weights, evaluation, rejected options."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import algorithms, zoo
from bench.errors import UserError
from bench.losses import InstantaneousLoss
from bench.nets.layers import map_state
from bench.spec import (  # fmt: skip
    Conv,
    Gain,
    Loop,
    ReLU,
    Residual,
    Spike,
)
from bench.training_step import training_step
from tests.local.networks import CLASSIFIERS, NETWORKS, NEURON, T, data, differ, found, network
from tests.registered import PLAIN


@pytest.mark.parametrize("K", [1, 2, 3, 5])
def test_ttl_bptt_updates_as_often_as_stated(step_of: Any, K: int) -> None:
    def updates(algorithm: str, **options: Any) -> int:
        counted: list[int] = []
        x, target = data()
        step_of(NETWORKS["plain"], algorithm, **options).forward_backward(x, target, lambda: counted.append(1))
        return len(counted)

    assert updates("ttl-bptt", K=K, update="window") == updates("ttl-bptt", K=K) == ceil(T / K)
    assert updates("ttl-bptt", K=K, update="block") == 3 * ceil(T / K)
    assert updates("ttl-bptt", K=K, update="end") == updates("local") == 1


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("backend", PLAIN)
def test_ttl_bptt_update_per_block_gives_the_weights_of_update_per_window(step_of: Any, backend: str, optimizer: str) -> None:
    """No block reads a tensor that depends on weights updated in the same window."""

    def weights(update: str) -> dict[str, Tensor]:
        step = step_of(NETWORKS["dropout"], "ttl-bptt", backend, K=2, update=update, optimizer=optimizer, lr=0.05)
        for seed in (0, 1):
            torch.manual_seed(seed)
            step.run(*data())
        return {name: value.clone() for name, value in step.net.state_dict().items()}

    by_window = weights("window")
    assert not differ(by_window, weights("block"))
    assert differ(by_window, weights("end"))


def test_ttl_bptt_window_uses_the_weights_updated_by_the_previous_one(step_of: Any) -> None:
    x, target = data()
    step = step_of(NETWORKS["plain"], "ttl-bptt", K=3, update="window")
    by_hand = step_of(NETWORKS["plain"], "ttl-bptt", K=3, update="end")
    step.run(x, target)
    loss, net, states = InstantaneousLoss(target, T), by_hand.net, [None] * 3
    for y in x.split(3):
        for i in range(3):
            y, state = net.window_of(i, y, states[i])
            loss(net.scores(i, y)).backward()
            y, states[i] = y.detach(), map_state(torch.Tensor.detach, state)
        by_hand.optimizer.step()
        by_hand.optimizer.zero_grad(set_to_none=True)
    assert not differ(step.net.state_dict(), net.state_dict())


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_block_network_has_initial_weights_and_outputs_of_the_plain_one(classifier: str) -> None:
    plain = training_step("ttl-small/digits", "bptt", "native", seed=4)
    cut = training_step("ttl-small/digits", "local", "native", seed=4, classifier=classifier)
    other = training_step("ttl-small/digits", "local", "native", seed=5, classifier=classifier)
    again = training_step("ttl-small/digits", "ttl-bptt", "native", seed=4, classifier=classifier)
    trunk = plain.net.state_dict()
    assert not differ(trunk, cut.net.state_dict())
    assert not differ(cut.net.state_dict(), again.net.state_dict())
    heads = {name: value for name, value in cut.net.state_dict().items() if name not in trunk}
    assert len(heads) == 3 * (1 if classifier == "fixed" else 2)
    assert all(torch.isfinite(value).all() for value in heads.values())
    assert all(not torch.equal(v, other.net.state_dict()[name]) for name, v in heads.items() if name.endswith("weight"))
    x = 2 * torch.randn(3, 2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    outs = [step.net.eval().window(x, None)[0].detach() for step in (plain, cut)]  # type: ignore[operator]
    assert float(outs[0].norm()) > 0
    assert torch.equal(*outs)


@pytest.mark.parametrize("backend", PLAIN)
def test_block_network_evaluation_does_not_change_training(step_of: Any, backend: str) -> None:
    x, target = data()
    with_look, without = (step_of(NETWORKS["plain"], "ttl-bptt", backend) for _ in range(2))
    for step in (with_look, without):
        step.run(x, target)
        if step is with_look:
            with torch.no_grad():
                step.net.window(x, None)
        step.run(x, target)
    assert not differ(with_look.net.state_dict(), without.net.state_dict())


@pytest.mark.parametrize("b", [0, -2])
@pytest.mark.parametrize("algorithm", ["local", "ttl-bptt"])
def test_local_rejects_blocks_of_no_layers(step_of: Any, algorithm: str, b: int) -> None:
    with pytest.raises(UserError, match=rf"b = {b}; use a whole number >= 1 \(layers of neurons per block"):
        step_of(NETWORKS["plain"], algorithm, b=b)


@pytest.mark.parametrize("K", [0, T + 1])
def test_ttl_bptt_rejects_windows_longer_than_the_sequence(step_of: Any, K: int) -> None:
    with pytest.raises(UserError, match=rf"K = {K}( of T = {T} steps)?; use"):
        found(step_of(NETWORKS["plain"], "ttl-bptt", K=K))


def test_local_options_suggest_close_names(step_of: Any) -> None:
    with pytest.raises(UserError, match=r"unknown classifier 'fixd': did you mean fixed"):
        step_of(NETWORKS["plain"], "local", classifier="fixd")
    with pytest.raises(UserError, match=r"unknown update 'windows': did you mean window"):
        step_of(NETWORKS["plain"], "ttl-bptt", update="windows")


@pytest.mark.parametrize("algorithm", ["local", "ttl-bptt"])
def test_local_does_not_support_networks_that_cannot_be_cut(algorithm: str) -> None:
    rule = algorithms.load(algorithm)
    loop = (Loop((Conv(6),), (Spike(NEURON),), (Conv(6),)),)
    assert "loop" in rule.supports(network("loop", loop, 0)).reason
    assert "no layers of neurons" in rule.supports(network("rectifiers", (Conv(6), ReLU()), 0)).reason
    assert rule.supports(network("pre-activation", (Conv(6), Residual((Spike(NEURON),), (Conv(6), Gain(1.0)))), 0))
    assert not rule.supports(zoo.spec("vgg-f/cifar100"))
