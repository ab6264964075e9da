"""Laws of every algorithm of the registry, the loss, and BPTT by its written equations."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench import algorithms
from bench.algorithms.context import StepContext
from bench.losses import InstantaneousLoss
from bench.probes.equivalence import aligned_parameters
from bench.registry import ALGORITHMS
from bench.spec import Dense, NetworkSpec, NeuronSpec, Spike
from tests.registered import options_for, shortest
from tests.unit.small_networks import NEURON, T, convnet, difference, drawn, gradient, mlp, spec_of


def spiking_readout(neuron: NeuronSpec = NEURON) -> NetworkSpec:
    """6 -> 8 LIF -> 5 LIF -> 3 LIF: class scores are spikes."""
    layers = (Dense(8), Spike(neuron), Dense(5), Spike(neuron), Dense(3), Spike(neuron))
    return spec_of("spiking readout", (6,), 3, 6 * 8 + 8 + 8 * 5 + 5 + 5 * 3 + 3, *layers, neuron=neuron)


# Every algorithm with those of the small networks that it can train.
PAIRS = [(a, spec) for a in ALGORITHMS for spec in (mlp, convnet, spiking_readout) if algorithms.load(a).supports(spec())]


def test_small_networks_include_one_for_every_algorithm():
    assert {algorithm for algorithm, _ in PAIRS} == set(ALGORITHMS)


def of_the_network(found: list[Tensor], bptt: list[Tensor]) -> float:
    """``difference`` over the network's own parameters; those that an algorithm adds come after them."""
    return difference(found[: len(bptt)], bptt)


@pytest.mark.parametrize(("algorithm", "spec"), PAIRS)
def test_gradient_equals_that_of_bptt_if_declared_exact_and_else_differs(algorithm, spec):
    net, x, target = drawn(spec(), algorithm, steps=shortest(algorithm, spec(), T))
    found = gradient(net, algorithm, x, target)
    reference, x, target = drawn(spec(), steps=len(x))
    exact = gradient(reference, "bptt", x, target)
    if ALGORITHMS[algorithm].exact:
        assert difference(found, exact) < 1e-12
    else:
        assert of_the_network(found, exact) > 1e-3


@pytest.mark.parametrize(("algorithm", "spec"), PAIRS)
def test_single_step_is_bptt_unless_layers_have_losses_of_their_own(algorithm, spec):
    """Nothing goes through time then. Classifiers that an algorithm adds to the network have losses of their own."""
    options = options_for(algorithm, spec(), 1)
    net, x, target = drawn(spec(), algorithm, **options)
    reference, _, _ = drawn(spec())
    found = gradient(net, algorithm, x[:1], target, **options)
    own = sum(p.numel() for p in net.parameters()) > spec().parameters
    assert (of_the_network(found, gradient(reference, "bptt", x[:1], target)) < 1e-12) is not own


@pytest.mark.parametrize(("algorithm", "spec"), PAIRS)
def test_weights_change_once_per_batch_or_more_often_as_declared(algorithm, spec):
    net, x, target = drawn(spec(), algorithm, steps=shortest(algorithm, spec(), T))
    calls = []
    gradient(net, algorithm, x, target, update=lambda: calls.append(1))
    assert (len(calls) == 1) is algorithms.load(algorithm).Options().updates_once
    assert calls


@pytest.mark.parametrize(("algorithm", "spec"), PAIRS)
def test_train_step_returns_the_outputs_summed_over_time(algorithm, spec):
    net, x, target = drawn(spec(), algorithm, steps=shortest(algorithm, spec(), T))
    with torch.no_grad():
        outs = net.outputs(x)
    rule = algorithms.load(algorithm)
    got = rule.train_step(net, x, StepContext(InstantaneousLoss(target, len(x)), lambda: None), rule.Options())
    assert not got.requires_grad
    torch.testing.assert_close(got, outs.sum(0))


@pytest.mark.parametrize("squared_target", ["one-hot", "ones"])
@pytest.mark.parametrize("alpha", [0.0, 0.05, 1.0])
def test_loss_by_hand_and_as_a_sum_over_steps(alpha, squared_target):
    """The losses of single steps sum to the loss of the sequence."""
    g = torch.Generator().manual_seed(0)
    outs, target = torch.randn(4, 3, 5, generator=g, dtype=torch.float64), torch.tensor([1, 4, 0])
    by_hand = 0.0
    for out in outs.tolist():
        for o, y in zip(out, target.tolist(), strict=True):
            log_sum = torch.tensor(o).exp().sum().log().item()
            entropy = log_sum - o[y]
            squares = sum((v - (squared_target == "ones" or c == y)) ** 2 for c, v in enumerate(o)) / 5
            by_hand += ((1 - alpha) * entropy + alpha * squares) / 3 / 4
    loss = InstantaneousLoss(target, 4, alpha, squared_target=squared_target)
    assert loss(outs).item() == pytest.approx(by_hand, rel=1e-5)
    assert sum(loss(out[None]).item() for out in outs) == pytest.approx(by_hand, rel=1e-5)


def test_bptt_equals_the_graph_of_the_written_equations():
    """The recurrence of the MLP in plain operators under autograd, with the slope of spikes from a smooth function."""
    net, x, target = drawn(mlp())
    leaves = [p.detach().clone().requires_grad_() for p in aligned_parameters(net)]
    W1, b1, W2, b2, W3, b3 = leaves

    def fire(u: Tensor) -> tuple[Tensor, Tensor]:
        smooth = torch.sigmoid(4 * (u - 1))
        s = (u >= 1).double() + (smooth - smooth.detach())
        return s, u - s.detach()

    v1 = v2 = torch.zeros(1, dtype=torch.float64)
    loss = torch.zeros((), dtype=torch.float64)
    for x_t in x:
        s1, v1 = fire(NEURON.decay * v1 + x_t @ W1.t() + b1)
        s2, v2 = fire(NEURON.decay * v2 + s1 @ W2.t() + b2)
        o = s2 @ W3.t() + b3
        onehot = F.one_hot(target, 3).double()
        loss = loss + (0.95 * F.cross_entropy(o, target) + 0.05 * F.mse_loss(o, onehot)) / T
    by_hand = list(torch.autograd.grad(loss, leaves))
    assert difference(gradient(net, "bptt", x, target), by_hand) < 1e-9
