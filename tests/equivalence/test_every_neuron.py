"""Every possible neuron on every backend either equals the native one or is rejected before anything runs.

All surrogates, resets, decays, thresholds and detached resets are tested, whether or not a network in the catalogue uses them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch

from bench import backends, zoo
from bench.case import Case
from bench.errors import UserError
from bench.kernels.surrogate import fire
from bench.nets.build import build
from bench.probes import equivalence
from bench.probes.equivalence import Response, compare
from bench.spec import (  # fmt: skip
    AvgPool,
    Conv,
    Dense,
    Flatten,
    Layer,
    NetworkSpec,
    NeuronSpec,
    Reset,
    Residual,
    Spike,
    Surrogate,
    SurrogateKind,
)
from bench.training_step import support

NAME = "chain"
T, BATCH = 4, 3
ALGORITHMS = ("bptt", "sltt", "tbptt")  # every shipped implementation has one of them
FLOORS = {"snntorch-shipped": 1e-6}  # snnTorch's spikes and their gradients are always float32
KINDS, RESETS = get_args(SurrogateKind), get_args(Reset)


def spec_of(neuron: NeuronSpec) -> NetworkSpec:
    layers: tuple[Layer, ...] = (
        Conv(6), Spike(neuron), AvgPool(2, 2), Conv(8, stride=2), Spike(neuron), Flatten(), Dense(16), Spike(neuron), Dense(5),
    )  # fmt: skip
    return NetworkSpec(NAME, (2, 8, 8), 5, layers, neuron, 114 + 440 + 528 + 85, "these tests", "frames")


ALPHAS = {
    "sigmoid": (4.0, 1.5),
    "triangle": (1.0, 0.6),
    "rectangle": (0.7, 1),
    "arctangent": (2.0, 3),
    "fast sigmoid": (2.0, 0.9),
}
SETTINGS = list(itertools.product(*map(enumerate, ((0, 0.5, 1.0), (1, 0.7), RESETS, (True, False)))))


def every_neuron(kind: SurrogateKind) -> Iterator[NeuronSpec]:
    for settings in SETTINGS:
        for alpha in ALPHAS[kind]:
            yield NeuronSpec(*(value for _, value in settings), Surrogate(kind, alpha))


def some_neurons(kind: SurrogateKind) -> Iterator[NeuronSpec]:
    """Yield a third of the settings, another per surrogate: all resets, thresholds and detach_reset, each with one decay."""
    for settings in SETTINGS:
        if sum(i for i, _ in settings) % 3 == KINDS.index(kind) % 3:
            yield NeuronSpec(*(value for _, value in settings), Surrogate(kind, ALPHAS[kind][0]))


def departs(backend: str, neuron: NeuronSpec) -> bool:
    """Whether the neuron is known to differ: snnTorch's own reset is one step late (backends/snntorch_shipped.py)."""
    return backend == "snntorch-shipped" and neuron.reset == "soft" and neuron.decay < 1


@pytest.fixture(autouse=True)
def _in_double() -> Iterator[None]:
    with equivalence.in_double():
        yield


@pytest.fixture
def of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make ``spec`` the network of this test."""
    return lambda spec: monkeypatch.setattr(zoo, "spec", lambda _: spec)


def respond(algorithm: str, backend: str) -> Response:
    case = Case("tests", "equivalence", NAME, algorithm, backend, T, BATCH)
    return equivalence._respond(case, backend, *equivalence._batch(zoo.spec(NAME), case))


def installed() -> list[str]:
    return [name for name in backends.names() if backends.available(name)]


@pytest.mark.sampled(every=4)
@pytest.mark.parametrize("neurons", [some_neurons, pytest.param(every_neuron, marks=pytest.mark.full)], ids=["some", "every"])
@pytest.mark.parametrize("kind", KINDS)
def test_backends_equal_native_for_every_neuron_or_reject_it(of, kind, neurons):
    ran: set[str] = set()
    for neuron in neurons(kind):
        of(spec_of(neuron))
        references = {algorithm: respond(algorithm, "native") for algorithm in ALGORITHMS}
        assert all(0.01 < float(s.mean()) < 0.99 for s in references["bptt"].spikes)
        for backend, algorithm in itertools.product(installed(), ALGORITHMS):
            if backend == "native":
                continue
            possible = support(NAME, algorithm, backend)
            if not possible:
                assert possible.reason
                continue
            found = compare(references[algorithm], respond(algorithm, backend))
            equal = found.spikes_differing == 0 and found.gradient_difference < FLOORS.get(backend, 1e-11)
            assert equal is not departs(backend, neuron), (backend, algorithm, neuron, found)
            ran.add(backend)
    assert ran == set(installed()) - {"native"} or kind == "fast sigmoid"


@pytest.mark.parametrize("backend", [name for name in backends.names() if name.startswith("spikingjelly")])
@pytest.mark.parametrize(
    ("neuron", "reason"),
    [
        (NeuronSpec(surrogate=Surrogate("fast sigmoid", 3.0)), "SoftSign is alpha / 2 times that"),
        (NeuronSpec(decay=0), "needs tau"),
    ],
    ids=["fast sigmoid", "no memory"],
)
def test_spikingjelly_rejects_neurons_that_it_lacks(of, backend, neuron, reason):
    if not backends.available(backend):
        pytest.skip(backends.available(backend).reason)
    of(spec_of(neuron))
    for algorithm in ALGORITHMS:
        assert not support(NAME, algorithm, backend)
    module = backends.load(backend)
    assert reason in backends.supports(module, spec_of(neuron)).reason
    if hasattr(module, "neurons"):
        with pytest.raises(UserError, match=reason):
            build(spec_of(neuron), module)


def test_supports_checks_neurons_inside_blocks():
    module = backends.load("spikingjelly")
    inner = Residual((), (Conv(6), Spike(NeuronSpec(decay=0.0)), Conv(6)))
    assert not backends.supports(module, replace(spec_of(NeuronSpec()), layers=(inner,)))
    assert backends.supports(module, spec_of(NeuronSpec()))


@pytest.mark.parametrize("kind", KINDS)
def test_spikingjelly_surrogates_equal_the_native_ones(kind):
    """Also far outside the range of potentials in networks; SoftSign, which is rejected, differs."""
    from spikingjelly.activation_based import surrogate

    from bench.backends import spikingjelly

    for alpha in (0.3, 1.0, 4.0):
        x = torch.linspace(-5, 5, 4001, dtype=torch.float64, requires_grad=True)
        (ours,) = torch.autograd.grad(fire(x, Surrogate(kind, alpha)).sum(), x)
        if spikingjelly.has(NeuronSpec(surrogate=Surrogate(kind, alpha))):
            (theirs,) = torch.autograd.grad(spikingjelly.surrogate_function(Surrogate(kind, alpha))(x).sum(), x)
            torch.testing.assert_close(theirs, ours, rtol=1e-12, atol=1e-12)
        else:
            (theirs,) = torch.autograd.grad(surrogate.SoftSign(alpha)(x).sum(), x)
            torch.testing.assert_close(theirs, ours * alpha / 2)
