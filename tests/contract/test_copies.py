"""A training step can be copied, pickled and saved at any time, and weights be copied between all backends.

For all algorithms and backends on a chain of layers; other networks by the marker ``full``.
"""

from __future__ import annotations

import copy
import io
import itertools
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import algorithms, backends, zoo
from bench.counting.step import batch_for
from bench.errors import UserError
from bench.nets.weights import copy_weights
from bench.probes.equivalence import in_double
from bench.spec import AvgPool, BatchNorm, Conv, Dense, Flatten, Layer, NetworkSpec, NeuronSpec, Residual, Spike
from bench.training_step import TrainingStep, support, training_step

NEURON = NeuronSpec(decay=0.5, threshold=0.3)
HEAD: tuple[Layer, ...] = (AvgPool(2, 2), Flatten(), Dense(3, init="default"))


def network(name: str, layers: tuple[Layer, ...], parameters: int) -> NetworkSpec:
    return NetworkSpec(name, (2, 4, 4), 3, (*layers, *HEAD), NEURON, parameters, "these tests", "frames")


NETWORKS = {
    spec.name: spec
    for spec in (
        network("chain", (Conv(4), Spike(NEURON), Conv(4), Spike(NEURON)), 275),
        network("batch norm", (Conv(4, bias=False), BatchNorm(), Spike(NEURON), Conv(4), Spike(NEURON)), 279),
        network("residual", (Conv(4), Residual((Spike(NEURON),), (Conv(4), Spike(NEURON), Conv(4))), Spike(NEURON)), 423),
    )
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "spec", lambda name: NETWORKS[name])


def combinations() -> Iterator[Any]:
    for name, algorithm, backend in itertools.product(NETWORKS, algorithms.names(), backends.names()):
        own = backend.startswith(("sn", "spikingjelly-")) and algorithm in ("bptt", "ottt-o", "sltt", "tbptt", "skipper")
        marks = [] if name == "chain" or own else [pytest.mark.full]
        yield pytest.param(name, algorithm, backend, id=f"{name}, {algorithm}, {backend}", marks=marks)


def through_a_file(net: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(net, file)
    file.seek(0)
    loaded: nn.Module = torch.load(file, weights_only=False)
    return loaded


def weights_of(step: TrainingStep) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in step.net.parameters()]


def equal(a: list[Tensor], b: list[Tensor]) -> bool:
    return len(a) == len(b) and all(itertools.starmap(torch.equal, zip(a, b, strict=True)))


def run(step: TrainingStep) -> Tensor:
    torch.manual_seed(0)
    return step.run(*batch_for(step, T=6, batch=2, device="cpu"))


COPIES: dict[str, Callable[[TrainingStep], TrainingStep]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda step: pickle.loads(pickle.dumps(step)),
}


@pytest.mark.sampled(every=4)
@pytest.mark.parametrize(("name", "algorithm", "backend"), list(combinations()))
def test_copies_train_their_own_network_as_the_original_would(name: str, algorithm: str, backend: str) -> None:
    """Before a step and after one, when modules of frameworks hold tensors of its graph."""
    if not support(name, algorithm, backend, T=6):
        pytest.skip("no such combination")
    step = training_step(name, algorithm, backend, lr=0.1)
    for _ in range(2):
        start = weights_of(step)
        copies = [copied(step) for copied in COPIES.values()]
        assert equal(weights_of(step), [p.detach() for p in through_a_file(step.net).parameters()])
        outs = []
        for other in copies:
            assert equal(weights_of(other), start)
            outs.append(run(other))
            assert not equal(weights_of(other), start)
            assert equal(weights_of(step), start)
        expected = run(step)  # the last: what it leaves in its modules is copied in the next round
        for out, other in zip(outs, copies, strict=True):
            assert torch.equal(out, expected)
            assert equal(weights_of(other), weights_of(step))


@pytest.mark.parametrize("backend", backends.names())
def test_networks_can_be_copied_after_a_forward_pass_with_its_graph(backend: str) -> None:
    step = step_on("chain", backend)
    x, _ = batch_for(step, T=6, batch=2, device="cpu")
    out = step.trainable.outputs(x)
    assert out.requires_grad
    for net in (copy.deepcopy(step.net), through_a_file(step.net)):
        other: Any = net
        assert torch.equal(other.outputs(x), out)
    out.sum().backward()


# --------------------------------------------------------------------------- weights of another backend

OWN = {"spikingjelly-shipped": "sltt", "snntorch-shipped": "tbptt"}
INEXACT = ("snntorch-shipped",)  # it resets before the decay


def step_on(name: str, backend: str, seed: int = 0) -> TrainingStep:
    algorithm = OWN.get(backend, "bptt")
    if not support(name, algorithm, backend):
        pytest.skip("no such combination")
    return training_step(name, algorithm, backend, seed=seed, lr=0.1)


@pytest.mark.sampled(every=4)
@pytest.mark.parametrize("target", backends.names())
@pytest.mark.parametrize("source", backends.names())
@pytest.mark.parametrize("name", ["chain", "batch norm"])
def test_copied_weights_give_equal_outputs_on_every_backend(name: str, source: str, target: str) -> None:
    with in_double():
        one, other = step_on(name, source), step_on(name, target, seed=1)
        run(one)  # so that weights and running averages differ from those at the start
        copy_weights(one.net, other.net)
        x, y = batch_for(one, T=6, batch=2, device="cpu", seed=1)
        outs = []
        with torch.no_grad():
            for step in (one, other):
                step.net.eval()
                outs.append(step.trainable.outputs(x))
                step.net.train()
        assert float(outs[0].abs().max()) > 0
        if source not in INEXACT and target not in INEXACT:
            torch.testing.assert_close(outs[0], outs[1])
        before = weights_of(one)
        other.run(x, y)
        assert equal(weights_of(one), before)  # copied, not shared


def test_copy_weights_leaves_auxiliary_classifiers() -> None:
    local, other = training_step("chain", "local", "native", b=1), training_step("chain", "bptt", "native", seed=1)
    copy_weights(local.net, other.net)
    copy_weights(other.net, local.net)
    assert torch.equal(next(local.net.parameters()), next(other.net.parameters()))


def test_copy_weights_rejects_what_does_not_match_before_it_copies() -> None:
    chain, normed = (training_step(name, "bptt", "native") for name in ("chain", "batch norm"))
    before = weights_of(normed)
    with pytest.raises(UserError, match=r"networks differ in their weights \(.*\); use networks of the same NetworkSpec"):
        copy_weights(chain.net, normed.net)
    assert equal(weights_of(normed), before)
    with pytest.raises(UserError, match=r"source is of type TrainingStep; use .* step\.net"):
        copy_weights(chain, chain.net)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="target is on device 'meta' and has no weights"):
        copy_weights(chain.net, training_step("chain", "bptt", "native", device="meta").net)
