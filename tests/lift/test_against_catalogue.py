"""Algorithms on a user's module give the gradients that they give on the same network of the catalogue."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import algorithms
from bench.algorithms.context import StepContext
from bench.backends import native
from bench.lift.running.training import instantaneous, training_step
from bench.nets.build import Network, build
from bench.spec import AvgPool, BatchNorm, Conv, Dense, Flatten, Layer, NetworkSpec, NeuronSpec, Spike, Surrogate

sys.path.insert(0, str(Path(__file__).parent))
from nets import CLASSES, FRAME, seeded, sj_catalogue, sj_dense

T, BATCH = 7, 3
LIF = Spike(NeuronSpec(0.5, 1.0, "soft", True, Surrogate("sigmoid", 4.0)))


def convolutional(norm: bool) -> tuple[Layer, ...]:
    return (
        *(Conv(6), *([BatchNorm()] if norm else []), LIF, AvgPool(2, 2), Conv(8, stride=2), LIF, Flatten()),
        *(Dense(12), LIF, Dense(CLASSES)),
    )


def catalogue(layers: tuple[Layer, ...], net: nn.Module, frame: tuple[int, ...]) -> Network:
    """Build the layers natively, with the weights of ``net``."""
    count = sum(p.numel() for p in net.parameters())
    built = build(NetworkSpec("as the user's", frame, CLASSES, layers, LIF.neuron, count, "the user's"), native).double()
    built.reset_parameters(0)
    copied(net, built)
    return built


def loud(make: Any) -> nn.Module:
    """Return the network with weights that make all its layers fire."""
    net = seeded(make).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(3)
    return net


def copied(source: nn.Module, target: nn.Module) -> None:
    with torch.no_grad():
        for mine, other in zip(target.parameters(), source.parameters(), strict=True):
            mine.copy_(other)


def batch(frame: tuple[int, ...] = FRAME) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = 3 * torch.rand(T, BATCH, *frame, generator=generator, dtype=torch.float64)
    return x, torch.randint(CLASSES, (BATCH,), generator=generator)


def on_the_catalogue(net: Any, algorithm: str, x: Tensor, target: Tensor, update: Any, **options: Any) -> tuple[Any, Tensor]:
    rule = algorithms.load(algorithm)
    chosen = rule.Options.named(algorithm, options)
    net = rule.prepare(net, chosen)
    context = StepContext(lambda outs: instantaneous(outs, target) * len(outs) / T, lambda: update(net))
    return net, rule.train_step(net, x, context, chosen)


def assert_same_gradients(found: nn.Module, expected: nn.Module) -> None:
    pairs = list(zip(found.parameters(), expected.parameters(), strict=True))
    for mine, other in pairs:
        assert mine.grad is not None
        assert other.grad is not None
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-9, atol=1e-12)
    assert all(other.grad.abs().max() > 0 for _, other in pairs if other.grad is not None)


@pytest.mark.parametrize(("step_mode", "norm"), [("s", True), ("s", False), ("m", False)])
@pytest.mark.parametrize(
    ("algorithm", "options"),
    [("bptt", {}), ("replay", {}), ("ottt-a", {}), ("sltt", {}), ("tbptt", {"K": 3}), ("checkpointed", {"segments": 3})],
    ids=str,
)
def test_convolutional_network_learns_as_that_of_the_catalogue(
    algorithm: str, options: dict[str, Any], step_mode: str, norm: bool
) -> None:
    net, (x, target) = loud(lambda: sj_catalogue(step_mode, norm)), batch()
    native_net = catalogue(convolutional(norm), net, FRAME)
    step = training_step(net, algorithm, **options)
    step(x, target)
    _, total = on_the_catalogue(native_net, algorithm, x, target, lambda _: None, **options)
    assert_same_gradients(net, native_net)
    torch.testing.assert_close(step.outputs, total)


def test_ottt_o_updates_after_every_step_as_on_the_catalogue() -> None:
    net, (x, target) = loud(lambda: sj_catalogue("s", False)), batch()
    other = catalogue(convolutional(False), net, FRAME)
    before = [parameter.detach().clone() for parameter in net.parameters()]

    def update(trained: nn.Module) -> None:
        optimizer = torch.optim.SGD(trained.parameters(), lr=0.1)
        optimizer.step()
        optimizer.zero_grad()

    training_step(net, "ottt-o", optimizer=torch.optim.SGD(net.parameters(), lr=0.1))(x, target)
    other, _ = on_the_catalogue(other, "ottt-o", x, target, update)
    for mine, theirs in zip(net.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-9, atol=1e-12)
    assert all(not torch.equal(mine, start) for mine, start in zip(net.parameters(), before, strict=True))


@pytest.mark.parametrize(
    ("classifier", "step_mode"), [("pooled", "s"), ("pooled", "m"), ("dense", "s"), ("conv", "m"), ("fixed", "s")]
)
@pytest.mark.parametrize(
    ("algorithm", "options"), [("local", {"b": 1}), ("local", {"b": 2}), ("ttl-bptt", {"K": 3, "update": "end"})], ids=str
)
def test_blocks_learn_as_those_of_the_catalogue(algorithm: str, options: dict[str, Any], classifier: str, step_mode: str) -> None:
    net, (x, target) = loud(lambda: sj_catalogue(step_mode, False)), batch()
    step = training_step(net, algorithm, classifier=classifier, **options)
    blocks = step.lifted(x)
    rule = algorithms.load(algorithm)
    chosen = rule.Options.named(algorithm, options | {"classifier": classifier})
    other: Any = rule.prepare(catalogue(convolutional(False), net, FRAME), chosen)
    assert len(blocks.parts) == len(other.parts) == (2 if options.get("b") == 2 else 3)
    other.classifiers.double()
    copied(blocks.classifiers, other.classifiers)
    for mine, theirs in zip(blocks.classifiers.buffers(), other.classifiers.buffers(), strict=True):
        theirs.copy_(mine)
    value = step(x, target)
    context = StepContext(lambda outs: instantaneous(outs, target) * len(outs) / T, lambda: None)
    total = rule.train_step(other, x, context, chosen)
    assert_same_gradients(net, other.body)
    if classifier != "fixed":
        assert_same_gradients(blocks.classifiers, other.classifiers)
    torch.testing.assert_close(step.outputs, total)
    torch.testing.assert_close(value, loss_of_output(net, x, target))


def loss_of_output(net: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    from spikingjelly.activation_based import functional

    with torch.no_grad():
        out = net(x) if net[0].step_mode == "m" else torch.stack([net(frame) for frame in x])  # type: ignore[index]
    functional.reset_net(net)
    return instantaneous(out, target)


@pytest.mark.parametrize("step_mode", ["s", "m"])
@pytest.mark.parametrize("form", ["traces", "adjoint"])
@pytest.mark.parametrize("algorithm", ["ottt-dense", "ostl", "approximate-otpe", "otpe"])
def test_dense_network_learns_from_traces_as_that_of_the_catalogue(algorithm: str, form: str, step_mode: str) -> None:
    net, (x, target) = loud(lambda: sj_dense(step_mode)), batch()
    other = catalogue((Dense(10), LIF, Dense(CLASSES), LIF), net, (128,))
    training_step(net, algorithm, form=form)(x, target)
    other, _ = on_the_catalogue(other, algorithm, x.flatten(2), target, lambda _: None, form=form)
    assert_same_gradients(net, other)


@pytest.mark.parametrize("detach", [True, False])
def test_input_that_is_divided_by_tau_enters_the_traces(detach: bool) -> None:
    """With u = decay v + x / tau: the same as weights divided by tau, whose gradients are tau times as large."""
    net, (x, target) = loud(lambda: sj_dense(decay_input=True, detach_reset=detach)), batch()
    scaled = loud(lambda: sj_dense(detach_reset=detach))
    with torch.no_grad():
        for mine, other in zip(net.parameters(), scaled.parameters(), strict=True):
            mine.copy_(2 * other)
    for algorithm in ("ostl", "otpe", "approximate-otpe", "ottt-a", "replay"):
        for each in (net, scaled):
            each.zero_grad()
            training_step(each, algorithm)(x, target)
        for mine, other in zip(net.parameters(), scaled.parameters(), strict=True):
            assert mine.grad is not None
            assert other.grad is not None
            torch.testing.assert_close(2 * mine.grad, other.grad, rtol=1e-9, atol=1e-12)
