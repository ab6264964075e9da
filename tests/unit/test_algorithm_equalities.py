"""Equalities between algorithms."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench import backends, zoo
from bench.algorithms.traces import with_traces
from bench.case import Case
from bench.errors import UserError
from bench.nets.build import build
from bench.probes.equivalence import aligned_parameters, draw
from bench.spec import Dense, NeuronSpec, Spike, Surrogate
from bench.training_step import support, training_step
from tests.unit.small_networks import SMALL, T, convnet, difference, drawn, gradient, gradient_of, mlp, spec_of


@pytest.mark.parametrize("algorithm", ["ottt-a", "sltt"])
def test_ottt_and_sltt_equal_spikingjellys_shipped_ones(algorithm, lively):
    possible = support(SMALL, algorithm, "spikingjelly-shipped")
    if not possible:
        pytest.skip(possible.reason)
    gradients = []
    x, target = lively(build(zoo.spec(SMALL), backends.load("native")), 4, 2)
    for backend in ("native", "spikingjelly-shipped"):
        step = training_step(SMALL, algorithm, backend)
        draw(step.net, Case("tests", "equivalence", SMALL, algorithm, backend, 4, 2))
        step.gradients(x, target)
        gradients.append([p.grad for p in aligned_parameters(step.net)])
    assert difference(*gradients) < 1e-5


@pytest.mark.parametrize("spec", [mlp, convnet])
def test_ottt_with_trace_decay_zero_is_sltt(spec):
    net, x, target = drawn(spec(), "sltt")
    sltt = gradient(net, "sltt", x, target)
    assert difference(gradient(with_traces(net, 0.0), "ottt-a", x, target), sltt) < 1e-12


@pytest.mark.parametrize("spec", [mlp, convnet])
def test_sltt_k_of_all_steps_is_sltt(spec):
    assert difference(gradient_of(spec(), "sltt-k", k=T), gradient_of(spec(), "sltt")) < 1e-12


def test_sltt_k_is_k_over_T_times_sltt_on_average():
    """The mean gradient over all choices of 2 of 5 steps is 2/5 of SLTT's."""
    net, x, target = drawn(mlp(), "sltt-k")
    whole = gradient(net, "sltt", x, target)
    draws: dict[tuple[int, ...], list[Tensor]] = {}
    seed = 0
    while len(draws) < 10:
        torch.manual_seed(seed)
        steps = tuple(sorted(torch.randperm(T)[:2].tolist()))
        torch.manual_seed(seed)
        draws[steps] = gradient(net, "sltt-k", x, target, k=2)
        seed += 1
    mean = [torch.stack(g).mean(0) for g in zip(*draws.values(), strict=True)]
    assert difference(mean, [2 / T * g for g in whole]) < 1e-12
    assert difference(draws[0, 1], draws[3, 4]) > 1e-3


def test_drawn_gradients_of_sltt_k_average_to_k_over_T_times_sltt():
    """At level 0.001 over all directions together: Bonferroni over the parameters, each along a direction of its own."""
    net, x, target = drawn(convnet(), "sltt-k")
    whole = gradient(net, "sltt", x, target)
    generator = torch.Generator().manual_seed(1)
    along = [torch.randn(g.shape, generator=generator, dtype=torch.float64) for g in whole]
    torch.manual_seed(2)
    draws = torch.stack([
        torch.stack([(g * d).sum() for g, d in zip(gradient(net, "sltt-k", x, target, k=2), along, strict=True)])
        for _ in range(400)
    ])  # fmt: skip
    expected = torch.stack([2 / T * (g * d).sum() for g, d in zip(whole, along, strict=True)])
    z = (draws.mean(0) - expected) / (draws.std(0) / len(draws) ** 0.5)
    assert 2 * len(z) * float(torch.special.ndtr(-z.abs().max())) > 0.001
    wrong = (draws.mean(0) - expected * T / 2) / (draws.std(0) / len(draws) ** 0.5)
    assert 2 * len(z) * float(torch.special.ndtr(-wrong.abs().max())) < 0.001  # it would see the loss divided by k


@pytest.mark.parametrize("surrogate", [Surrogate(), Surrogate("triangle", 1.0)], ids=["sigmoid", "triangle"])
def test_ottt_is_bptt_for_one_layer_with_detached_reset(surrogate):
    """One traced synapse into one layer of neurons, with the loss on the spikes (sanity check in the fact sheet).

    The class scores are the spikes, because a linear readout after the layer would itself have a trace and differ from BPTT.
    """
    neuron = NeuronSpec(decay=0.6, surrogate=surrogate)
    spec = spec_of("one layer", (6,), 3, 6 * 3 + 3, Dense(3), Spike(neuron), neuron=neuron)
    net, x, target = drawn(spec)
    x = (x > 0.3).double()  # presynaptic spikes
    bptt = gradient(net, "bptt", x, target)
    for synapse in net.synapses().values():
        synapse.presynaptic = "spikes"
    ottt = gradient(with_traces(net, neuron.decay), "ottt-a", x, target)
    assert difference(ottt[:1], bptt[:1]) < 1e-12


def test_ottt_is_not_bptt_for_one_layer_without_detached_reset():
    neuron = NeuronSpec(decay=0.6, detach_reset=False)
    spec = spec_of("one layer", (6,), 3, 6 * 3 + 3, Dense(3), Spike(neuron), neuron=neuron)
    net, x, target = drawn(spec)
    bptt = gradient(net, "bptt", x, target)
    for synapse in net.synapses().values():
        synapse.presynaptic = "spikes"
    assert difference(gradient(with_traces(net, neuron.decay), "ottt-a", x, target)[:1], bptt[:1]) > 1e-3


def test_algorithms_differ_in_deeper_networks():
    bptt, ottt, sltt = (gradient_of(mlp(), name) for name in ("bptt", "ottt-a", "sltt"))
    assert min(difference(ottt, bptt), difference(sltt, bptt), difference(ottt, sltt)) > 1e-3


@pytest.mark.parametrize("spec", [mlp, convnet])
def test_bptt_is_sltt_for_decay_zero_and_detached_reset(spec):
    """With decay 0 and a detached reset there is no gradient through time."""
    memoryless = spec(NeuronSpec(decay=0.0))
    assert difference(gradient_of(memoryless, "sltt"), gradient_of(memoryless, "bptt")) < 1e-12
    assert difference(gradient_of(memoryless, "ottt-a"), gradient_of(memoryless, "bptt")) < 1e-12


@pytest.mark.parametrize("k", [0, T + 1])
def test_sltt_k_rejects_invalid_k(k):
    with pytest.raises(UserError, match=f"k = {k}.*use "):
        gradient_of(mlp(), "sltt-k", k=k)
