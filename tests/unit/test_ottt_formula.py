"""OTTT and SLTT by their formulas, and when OTTT-O changes weights."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench import backends, zoo
from bench.algorithms import ottt_o
from bench.algorithms.context import StepContext
from bench.algorithms.traces import with_traces
from bench.kernels.surrogate import derivative_
from bench.losses import InstantaneousLoss
from bench.nets.build import Network, build
from bench.probes.equivalence import aligned_parameters
from bench.spec import NeuronSpec
from tests.unit.small_networks import NEURON, SMALL, T, convnet, difference, drawn, gradient, gradient_of, mlp


def error_at_output(o: Tensor, target: Tensor, alpha: float = 0.05) -> Tensor:
    """dL[t]/do[t] of the instantaneous loss."""
    batch, classes = o.shape
    onehot = F.one_hot(target, classes).double()
    return ((1 - alpha) * (o.softmax(1) - onehot) / batch + alpha * 2 * (o - onehot) / (batch * classes)) / T


def fired(u: Tensor, n: NeuronSpec) -> tuple[Tensor, Tensor]:
    """Return the spikes, and the membrane potential after the reset."""
    s = (u >= n.threshold).double()
    return s, u - n.threshold * s


def slope(u: Tensor, n: NeuronSpec) -> Tensor:
    sigma = torch.sigmoid(n.surrogate.alpha * (u - n.threshold))
    return n.surrogate.alpha * sigma * (1 - sigma)


@torch.no_grad()
def online_by_hand_mlp(net: Network, x: Tensor, target: Tensor, n: NeuronSpec, trace_decay: float) -> list[Tensor]:
    """dL/dW = sum_t g[t] a[t]^T, dL/db = sum_t g[t]; a[t] = trace_decay a[t-1] + s[t]; the first layer reads x[t] itself."""
    W1, b1, W2, b2, W3, b3 = aligned_parameters(net)
    total = [torch.zeros_like(p) for p in (W1, b1, W2, b2, W3, b3)]
    v1 = v2 = a1 = a2 = 0.0
    for x_t in x:
        u1 = n.decay * v1 + x_t @ W1.t() + b1
        s1, v1 = fired(u1, n)
        u2 = n.decay * v2 + s1 @ W2.t() + b2
        s2, v2 = fired(u2, n)
        o = s2 @ W3.t() + b3
        a1, a2 = trace_decay * a1 + s1, trace_decay * a2 + s2
        g3 = error_at_output(o, target)
        g2 = (g3 @ W3) * slope(u2, n)
        g1 = (g2 @ W2) * slope(u1, n)
        for sum_, term in zip(total, (g1.t() @ x_t, g1.sum(0), g2.t() @ a1, g2.sum(0), g3.t() @ a2, g3.sum(0)), strict=True):
            sum_ += term
    return total


def outer_of_convolution(g: Tensor, a: Tensor) -> Tensor:
    """Return the sum over samples and positions of g[o] a[i, shifted], for a 3x3 kernel with padding 1, by loops over shifts."""
    height, width = a.shape[-2:]
    padded = F.pad(a, (1, 1, 1, 1))
    grad = a.new_zeros(g.shape[1], a.shape[1], 3, 3)
    for dy, dx in itertools.product(range(3), repeat=2):
        grad[:, :, dy, dx] = torch.einsum("bohw,bihw->oi", g, padded[..., dy : dy + height, dx : dx + width])
    return grad


def convolved_back(g: Tensor, W: Tensor) -> Tensor:
    """Return the error at the input of a 3x3 convolution, by the same loops."""
    height, width = g.shape[-2:]
    back = g.new_zeros(g.shape[0], W.shape[1], height + 2, width + 2)
    for dy, dx in itertools.product(range(3), repeat=2):
        back[..., dy : dy + height, dx : dx + width] += torch.einsum("bohw,oi->bihw", g, W[:, :, dy, dx])
    return back[..., 1:-1, 1:-1]


@torch.no_grad()
def online_by_hand_convnet(net: Network, x: Tensor, target: Tensor, n: NeuronSpec, trace_decay: float) -> list[Tensor]:
    """As above; gain and pooling apply to the trace as they do to the spikes."""
    W1, b1, W2, b2, W3, b3 = aligned_parameters(net)
    total = [torch.zeros_like(p) for p in (W1, b1, W2, b2, W3, b3)]
    v1 = v2 = a1 = a2 = 0.0

    def pooled(s: Tensor) -> Tensor:
        return s.unflatten(3, (3, 2)).unflatten(2, (3, 2)).mean((3, 5)).flatten(1)

    for x_t in x:
        u1 = n.decay * v1 + F.conv2d(x_t, W1, b1, padding=1)
        s1, v1 = fired(u1, n)
        u2 = n.decay * v2 + F.conv2d(2.74 * s1, W2, b2, padding=1)
        s2, v2 = fired(u2, n)
        o = pooled(s2) @ W3.t() + b3
        a1, a2 = trace_decay * a1 + s1, trace_decay * a2 + s2
        g3 = error_at_output(o, target)
        unpooled = (g3 @ W3).view(-1, 4, 3, 3).repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
        g2 = unpooled * slope(u2, n)
        g1 = 2.74 * convolved_back(g2, W2) * slope(u1, n)
        terms = (
            outer_of_convolution(g1, x_t), g1.sum((0, 2, 3)),
            outer_of_convolution(g2, 2.74 * a1), g2.sum((0, 2, 3)),
            g3.t() @ pooled(a2), g3.sum(0),
        )  # fmt: skip
        for sum_, term in zip(total, terms, strict=True):
            sum_ += term
    return total


NETS = [(mlp, online_by_hand_mlp), (convnet, online_by_hand_convnet)]


@pytest.mark.parametrize(("spec", "by_hand"), NETS, ids=["dense", "convolutional"])
@pytest.mark.parametrize("algorithm", ["ottt-a", "ottt-o"])
def test_ottt_equals_its_formula(algorithm, spec, by_hand):
    net, x, target = drawn(spec(), algorithm)
    formula = by_hand(net, x, target, NEURON, NEURON.decay)
    assert all(float(g.norm()) > 0 for g in formula)
    assert difference(gradient(net, algorithm, x, target), formula) < 1e-6


@pytest.mark.parametrize(("spec", "by_hand"), NETS, ids=["dense", "convolutional"])
def test_sltt_equals_its_formula(spec, by_hand):
    net, x, target = drawn(spec(), "sltt")
    assert difference(gradient(net, "sltt", x, target), by_hand(net, x, target, NEURON, 0.0)) < 1e-6


@pytest.mark.parametrize(("spec", "by_hand"), NETS, ids=["dense", "convolutional"])
def test_ottt_formula_depends_on_the_decay(spec, by_hand):
    net, x, target = drawn(spec(), "ottt-a")
    mine = gradient(net, "ottt-a", x, target)
    for wrong in (0.0, 0.9 * NEURON.decay, 1.0):
        assert difference(mine, by_hand(net, x, target, NEURON, wrong)) > 1e-3


def test_ottt_o_updates_at_every_step():
    net, x, target = drawn(mlp(), "ottt-o")
    calls = []
    gradient(net, "ottt-o", x, target, update=lambda: calls.append(1))
    assert len(calls) == T


def test_ottt_o_gradients_sum_to_ottt_a_for_constant_weights():
    net, x, target = drawn(mlp(), "ottt-o")
    parameters, parts = aligned_parameters(net), []

    def take() -> None:
        parts.append([p.grad.clone() for p in parameters])
        net.zero_grad()

    net.zero_grad()
    ottt_o.train_step(net, x, StepContext(InstantaneousLoss(target, T), take), ottt_o.Options())
    assert len(parts) == T
    ottt_a = gradient_of(mlp(), "ottt-a")
    assert difference([sum(g) for g in zip(*parts, strict=True)], ottt_a) < 1e-12
    short, _, _ = drawn(mlp(), "ottt-o")
    first = online_by_hand_mlp(short, x[:1], target, NEURON, NEURON.decay)  # error_at_output divides by T
    assert difference(parts[0], first) < 1e-6


def test_ottt_o_keeps_traces_across_updates():
    """Plain SGD by hand: the gradient of step t uses the weights updated at step t-1."""
    net, x, target = drawn(mlp(), "ottt-o")
    start = [p.detach().clone() for p in aligned_parameters(net)]
    n, rate = NEURON, 0.5
    parameters = aligned_parameters(net)

    @torch.no_grad()
    def sgd() -> None:
        for p in parameters:
            p.sub_(rate * p.grad)
        net.zero_grad()

    net.zero_grad()
    ottt_o.train_step(net, x, StepContext(InstantaneousLoss(target, T), sgd), ottt_o.Options())

    W1, b1, W2, b2, W3, b3 = start
    v1 = v2 = a1 = a2 = 0.0
    for x_t in x:
        u1 = n.decay * v1 + x_t @ W1.t() + b1
        s1, v1 = fired(u1, n)
        u2 = n.decay * v2 + s1 @ W2.t() + b2
        s2, v2 = fired(u2, n)
        a1, a2 = n.decay * a1 + s1, n.decay * a2 + s2
        g3 = error_at_output(s2 @ W3.t() + b3, target)
        g2 = (g3 @ W3) * slope(u2, n)
        g1 = (g2 @ W2) * slope(u1, n)
        W1, b1 = W1 - rate * g1.t() @ x_t, b1 - rate * g1.sum(0)
        W2, b2 = W2 - rate * g2.t() @ a1, b2 - rate * g2.sum(0)
        W3, b3 = W3 - rate * g3.t() @ a2, b3 - rate * g3.sum(0)
    by_hand = [W1, b1, W2, b2, W3, b3]
    assert difference([p.detach() for p in parameters], by_hand) < 1e-9
    assert difference(by_hand, start) > 1e-3


def test_surrogate_of_the_formulas_is_that_of_the_kernels():
    u = torch.linspace(-1, 3, 9, dtype=torch.float64)
    torch.testing.assert_close(slope(u, NEURON), derivative_(u - NEURON.threshold, NEURON.surrogate))


def test_with_traces_adds_a_trace_to_exactly_the_synapses_that_read_spikes():
    """The convolution that reads the image has none; the readout and the convolutions that read spikes have one each."""
    net = with_traces(build(zoo.spec(SMALL), backends.load("native")), 0.5)
    traced = [name for name, module in net.named_modules() if type(module).__name__ == "TracedSynapse"]
    synapses = net.synapses()
    assert len(synapses) == 5
    assert len(traced) == 4
    assert sum(name.removesuffix(".synapse") in traced for name in synapses) == 4
    assert next(iter(synapses)).removesuffix(".synapse") not in traced
