"""Properties of the algorithms: their formulas by hand, and equalities between them.

The laws of every algorithm of the registry come first.
"""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench import algorithms, backends, zoo
from bench.algorithms import ottt_o
from bench.algorithms.context import StepContext
from bench.algorithms.traces import with_traces
from bench.case import Case
from bench.errors import UserError
from bench.kernels.surrogate import derivative_
from bench.losses import InstantaneousLoss
from bench.nets.build import Network, build
from bench.probes.equivalence import aligned_parameters, draw
from bench.registry import ALGORITHMS
from bench.spec import AvgPool, Conv, Dense, Flatten, NetworkSpec, NeuronSpec, Scale, Spike, Surrogate
from bench.training_step import support, training_step
from tests.registered import options_for, shortest

SMALL = "vgg-sws-small/cifar10"
NEURON = NeuronSpec(decay=0.6)


def made(name: str, shape, classes: int, parameters: int, *layers, neuron: NeuronSpec = NEURON) -> NetworkSpec:
    return NetworkSpec(name, shape, classes, layers, neuron, parameters, "this test")


def mlp(neuron: NeuronSpec = NEURON) -> NetworkSpec:
    """6 -> 8 LIF -> 5 LIF -> 3."""
    layers = (Dense(8), Spike(neuron), Dense(5), Spike(neuron), Dense(3))
    return made("mlp", (6,), 3, 6 * 8 + 8 + 8 * 5 + 5 + 5 * 3 + 3, *layers, neuron=neuron)


def convnet(neuron: NeuronSpec = NEURON) -> NetworkSpec:
    """[2, 6, 6] -> conv to 3 -> LIF -> x2.74 -> conv to 4 -> LIF -> 2x2 mean -> dense to 3."""
    layers = (Conv(3), Spike(neuron), Scale(2.74), Conv(4), Spike(neuron), AvgPool(2, 2), Flatten(), Dense(3))
    parameters = (3 * 2 * 9 + 3) + (4 * 3 * 9 + 4) + (3 * 4 * 9 + 3)
    return made("convnet", (2, 6, 6), 3, parameters, *layers, neuron=neuron)


def spiking_readout(neuron: NeuronSpec = NEURON) -> NetworkSpec:
    """6 -> 8 LIF -> 5 LIF -> 3 LIF: class scores are spikes."""
    layers = (Dense(8), Spike(neuron), Dense(5), Spike(neuron), Dense(3), Spike(neuron))
    return made("spiking readout", (6,), 3, 6 * 8 + 8 + 8 * 5 + 5 + 5 * 3 + 3, *layers, neuron=neuron)


T, B = 5, 4


def drawn(spec: NetworkSpec, algorithm: str = "bptt", steps: int = T, **options) -> tuple[Network, Tensor, Tensor]:
    """Return the prepared network in double precision, with weights for which it fires, a sequence and targets."""
    rule = algorithms.load(algorithm)
    net = rule.prepare(build(spec, backends.load("native")), rule.Options(**options)).double().train()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64))
            p.mul_(2 * p[0].numel() ** -0.5 if p.dim() > 1 else 0.3)
    x = torch.randn(steps, B, *spec.input, generator=generator, dtype=torch.float64)
    target = torch.randint(spec.classes, (B,), generator=generator)
    return net, x, target


def gradient(net: Network, algorithm: str, x: Tensor, target: Tensor, update=lambda: None, **options) -> list[Tensor]:
    net.zero_grad()
    rule = algorithms.load(algorithm)
    rule.train_step(net, x, StepContext(InstantaneousLoss(target, len(x)), update), rule.Options(**options))
    return [p.grad.clone() for p in aligned_parameters(net)]


def gradient_of(spec: NetworkSpec, algorithm: str, **options) -> list[Tensor]:
    net, x, target = drawn(spec, algorithm, **options)
    return gradient(net, algorithm, x, target, **options)


def difference(a: list[Tensor], b: list[Tensor]) -> float:
    """Largest relative difference over parameters."""
    assert len(a) == len(b) > 0
    return max(float((x - y).norm() / y.norm()) for x, y in zip(a, b, strict=True))


# --------------------------------------------------------------------------- of every algorithm

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


# --------------------------------------------------------------------------- the loss


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


# --------------------------------------------------------------------------- OTTT by hand


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


# --------------------------------------------------------------------------- equalities between algorithms


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
    spec = made("one layer", (6,), 3, 6 * 3 + 3, Dense(3), Spike(neuron), neuron=neuron)
    net, x, target = drawn(spec)
    x = (x > 0.3).double()  # presynaptic spikes
    bptt = gradient(net, "bptt", x, target)
    for synapse in net.synapses().values():
        synapse.presynaptic = "spikes"
    ottt = gradient(with_traces(net, neuron.decay), "ottt-a", x, target)
    assert difference(ottt[:1], bptt[:1]) < 1e-12


def test_ottt_is_not_bptt_for_one_layer_without_detached_reset():
    neuron = NeuronSpec(decay=0.6, detach_reset=False)
    spec = made("one layer", (6,), 3, 6 * 3 + 3, Dense(3), Spike(neuron), neuron=neuron)
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


# --------------------------------------------------------------------------- BPTT, exactly


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


# --------------------------------------------------------------------------- when weights change


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


@pytest.mark.parametrize("k", [0, T + 1])
def test_sltt_k_rejects_invalid_k(k):
    with pytest.raises(UserError, match=f"k = {k}.*use "):
        gradient_of(mlp(), "sltt-k", k=k)


def test_with_traces_adds_a_trace_to_exactly_the_synapses_that_read_spikes():
    """The convolution that reads the image has none; the readout and the convolutions that read spikes have one each."""
    net = with_traces(build(zoo.spec(SMALL), backends.load("native")), 0.5)
    traced = [name for name, module in net.named_modules() if type(module).__name__ == "TracedSynapse"]
    synapses = net.synapses()
    assert len(synapses) == 5
    assert len(traced) == 4
    assert sum(name.removesuffix(".synapse") in traced for name in synapses) == 4
    assert next(iter(synapses)).removesuffix(".synapse") not in traced
