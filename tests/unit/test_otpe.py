"""OTPE, approximate OTPE, OSTL and OTTT on dense networks: their equations by loops over samples, and equalities."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench import algorithms, backends, zoo
from bench.algorithms.context import StepContext
from bench.algorithms.dense_traces import TracedLayer
from bench.counting.step import batch_for, cost_of
from bench.errors import UserError
from bench.losses import InstantaneousLoss
from bench.nets.build import Network, build
from bench.nets.layers import aligned, state_tensors
from bench.spec import BatchNorm, Conv, Dense, Flatten, Layer, Loop, NetworkSpec, NeuronSpec, Spike, Surrogate
from bench.training_step import support, training_step

T, B = 12, 3
SIZES = (7, 6, 5, 4)
FAST = NeuronSpec(decay=0.875, detach_reset=False, surrogate=Surrogate("fast sigmoid", 5.0))
SMOOTH = replace(FAST, surrogate=Surrogate("arctangent", 2.0))  # one that all backends have
RULES = ("ottt-dense", "ostl", "approximate-otpe", "otpe")
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    *((rule, {}) for rule in RULES),
    ("approximate-otpe", {"front": True}),
    ("otpe", {"front": True}),
)
BACKENDS = [
    "native", "native-fast", "native-balanced", "native-small", "spikingjelly", "snntorch",
]  # fmt: skip


def dense(neuron: NeuronSpec = FAST, sizes: tuple[int, ...] = SIZES) -> NetworkSpec:
    layers: list[Layer] = [layer for size in sizes[1:] for layer in (Dense(size), Spike(neuron))]
    count = sum(a * b + b for a, b in pairwise(sizes))
    return NetworkSpec("dense", (sizes[0],), sizes[-1], tuple(layers), neuron, count, "this test", "frames")


def drawn(spec: NetworkSpec, algorithm: str, backend: str = "native", **options: Any) -> tuple[Network, Tensor, Tensor]:
    """Return the prepared network in double precision with weights for which every layer fires, a sequence and targets."""
    net = build(spec, backends.load(backend)).double()  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for _, p in aligned(net):
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) * (0.6 if p.dim() > 1 else 0.2) + 0.1)
    x = (torch.rand(T, B, *spec.input, generator=generator, dtype=torch.float64) < 0.4).double()
    target = torch.randint(spec.classes, (B,), generator=generator)
    rule = algorithms.load(algorithm)
    return rule.prepare(net, rule.Options(**options)).train(), x, target


def gradient(algorithm: str, backend: str = "native", spec: NetworkSpec | None = None, **options: Any) -> list[Tensor]:
    net, x, target = drawn(spec or dense(), algorithm, backend, **options)
    rule = algorithms.load(algorithm)
    rule.train_step(net, x, StepContext(InstantaneousLoss(target, T), lambda: None), rule.Options(**options))
    return [p.grad.clone() for _, p in aligned(net) if p.grad is not None]


def difference(a: list[Tensor], b: list[Tensor]) -> float:
    """Return the largest difference of two gradients, over the largest entry of the second, over parameters."""
    assert len(a) == len(b) > 0
    return max(float((x - y).abs().max() / y.abs().max()) for x, y in zip(a, b, strict=True))


# --------------------------------------------------------------------------- the sheet's equations, sample by sample


def slope_of(u: Tensor, n: NeuronSpec) -> Tensor:
    x, a = u - n.threshold, n.surrogate.alpha
    if n.surrogate.kind == "fast sigmoid":
        return 1 / (a * x.abs() + 1) ** 2
    assert n.surrogate.kind == "arctangent"
    return a / 2 / (1 + (torch.pi / 2 * a * x) ** 2)


@dataclass
class Neuron:
    """One neuron of one sample with every variable of section 3 of the fact sheet, in plain numbers and vectors."""

    w: Tensor  # [n + 1]: its weights, and the bias as the weight of a constant input of 1
    spec: NeuronSpec
    v: Tensor = field(default_factory=lambda: torch.zeros(()).double())
    U: Tensor = field(default_factory=lambda: torch.zeros(()).double())
    E: Tensor | float = 0.0  # of the state after the reset
    P: Tensor | float = 0.0
    R: Tensor | float = 0.0
    a: Tensor | float = 0.0
    z: Tensor | float = 0.0
    mean: Tensor | float = 0.0
    rho: float = 0.0
    D: Tensor = field(default_factory=lambda: torch.zeros(()).double())

    def step(self, x: Tensor) -> Tensor:
        n, decay = self.spec, self.spec.decay
        x = torch.cat([x, torch.ones(1, dtype=x.dtype)])
        self.v = decay * self.U + self.w @ x
        s = (self.v >= n.threshold).double()
        self.U = self.v - n.threshold * s
        self.D = slope_of(self.v, n)
        self.P = decay * self.E + x
        self.E = (1 if n.detach_reset else 1 - n.threshold * self.D) * self.P
        self.R = decay * self.R + self.D * self.P
        self.a = decay * self.a + x
        self.z = decay * self.z + self.a
        self.rho = decay * self.rho + 1
        self.mean = (1 - 1 / self.rho) * self.mean + self.D / self.rho
        return s

    def grad(self, rule: str, g: Tensor) -> Tensor:
        """The gradient of its weights and bias; without a trace of the bias for the rules with presynaptic traces."""
        if rule == "ostl":
            return g * self.D * self.P
        if rule == "otpe":
            return g * self.R
        slope, trace = (self.D, self.a) if rule == "ottt-dense" else (self.mean, self.z)
        assert isinstance(trace, Tensor)
        return torch.as_tensor(g * slope * torch.cat([trace[:-1], torch.ones(1, dtype=trace.dtype)]))

    def down(self, rule: str) -> Tensor:
        return torch.as_tensor(self.mean if rule in ("otpe", "approximate-otpe") else self.D)


LAST = {"otpe": "ostl", "approximate-otpe": "ottt-dense"}


def by_hand(net: Network, x: Tensor, target: Tensor, rule: str, front: bool) -> list[Tensor]:
    """The offline gradient of the loss 0.95 CE + 0.05 MSE, per sample, layer, neuron and step."""
    parameters = [p.detach() for _, p in aligned(net)]
    weights = [torch.cat([w, b[:, None]], 1) for w, b in zip(parameters[::2], parameters[1::2], strict=True)]
    total = [torch.zeros_like(w) for w in weights]
    n = net.spec.neuron
    rules = [rule] * (len(weights) - 1) + [rule if front else LAST.get(rule, rule)]
    for sample in range(x.shape[1]):
        layers = [[Neuron(row, n) for row in w] for w in weights]
        scores = torch.zeros(len(weights[-1]), dtype=x.dtype)
        for x_t in x[:, sample]:
            s = x_t
            for layer in layers:
                s = torch.stack([neuron.step(s) for neuron in layer])
            scores = (n.decay * scores if front else 0) + s
            onehot = F.one_hot(target[sample], len(scores)).double()
            g = (0.95 * (scores.softmax(0) - onehot) + 0.05 * 2 * (scores - onehot) / len(scores)) / x.shape[1] / len(x)
            for i in reversed(range(len(layers))):
                below = torch.zeros(weights[i].shape[1] - 1, dtype=x.dtype)
                for j, neuron in enumerate(layers[i]):
                    total[i][j] += neuron.grad(rules[i], g[j])
                    below += g[j] * neuron.down(rules[i]) * weights[i][j, :-1]
                g = below
    return [part for w in total for part in (w[:, :-1], w[:, -1])]


@pytest.mark.parametrize("form", ["traces", "adjoint"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("rule", "options"), VARIANTS, ids=str)
def test_otpe_gradients_equal_the_equations_sample_by_sample(rule: str, options: dict[str, Any], backend: str, form: str) -> None:
    able = backends.available(backend)
    if not able:
        pytest.skip(able.reason)
    spec = dense(SMOOTH if backend == "spikingjelly" else FAST)
    net, x, target = drawn(spec, rule, backend, **options)
    formula = by_hand(net, x, target, rule, options.get("front", False))
    assert all(float(g.norm()) > 0 for g in formula)
    assert difference(gradient(rule, backend, spec, form=form, **options), formula) < 1e-10


@pytest.mark.parametrize("detached", [False, True])
def test_otpe_equations_include_the_detached_reset(detached: bool) -> None:
    spec = dense(replace(FAST, detach_reset=detached))
    net, x, target = drawn(spec, "otpe")
    assert difference(gradient("otpe", spec=spec), by_hand(net, x, target, "otpe", False)) < 1e-10
    assert difference(gradient("otpe", spec=dense(replace(FAST, detach_reset=not detached))), gradient("otpe", spec=spec)) > 1e-3


# --------------------------------------------------------------------------- laws


@pytest.mark.parametrize("rule", ["ostl", "otpe"])
def test_ostl_at_the_last_layer_is_bptt(rule: str) -> None:
    assert difference(gradient(rule)[-2:], gradient("bptt")[-2:]) < 1e-12


def test_ostl_of_one_layer_is_bptt() -> None:
    spec = dense(sizes=(7, 4))
    assert difference(gradient("ostl", spec=spec), gradient("bptt", spec=spec)) < 1e-12


def test_ostl_is_not_bptt_below_the_last_layer() -> None:
    assert difference(gradient("ostl")[:2], gradient("bptt")[:2]) > 1e-2


def scores_by_autograd(spec: NetworkSpec, front: bool) -> list[Tensor]:
    """BPTT of the same network, the loss on the leaky sum of its spikes."""
    net, x, target = drawn(spec, "bptt")
    loss, scores, total = InstantaneousLoss(target, T), torch.zeros(()), torch.zeros(()).double()
    for s in net.window(x, None)[0]:
        scores = (spec.neuron.decay * scores if front else 0) + s
        total = total + loss(scores[None])
    return list(torch.autograd.grad(total, [p for _, p in aligned(net)]))


def test_otpe_front_is_bptt_of_the_leaky_scores_at_the_last_layer() -> None:
    exact = scores_by_autograd(dense(), front=True)
    assert difference(gradient("otpe", front=True)[-2:], exact[-2:]) < 1e-12
    assert difference(gradient("otpe", front=True)[:2], exact[:2]) > 1e-3
    assert difference(gradient("otpe")[-2:], exact[-2:]) > 1e-3


@pytest.mark.parametrize("rule", RULES)
def test_otpe_single_step_is_bptt(rule: str) -> None:
    """With one step there is no past: all traces are the input, and the mean slope is the slope."""
    gradients = []
    for algorithm in (rule, "bptt"):
        net, x, target = drawn(dense(), algorithm)
        with torch.no_grad():
            aligned(net)[1][1].add_(1.0)  # else no neuron fires in the first step
        module = algorithms.load(algorithm)
        module.train_step(net, x[:1], StepContext(InstantaneousLoss(target, 1), lambda: None), module.Options())
        gradients.append([p.grad.clone() for _, p in aligned(net) if p.grad is not None])
    if rule in ("otpe", "approximate-otpe", "ostl", "ottt-dense"):
        assert difference(*gradients) < 1e-12


def test_approximate_otpe_without_leak_in_the_weights_is_ottt() -> None:
    """At decay 0 there is no past, and every rule is the spatial gradient."""
    spec = dense(replace(FAST, decay=0.0))
    reference = gradient("ottt-dense", spec=spec)
    for rule in RULES[1:]:
        assert difference(gradient(rule, spec=spec), reference) < 1e-12


def test_mean_slope_of_a_constant_is_the_constant() -> None:
    from bench.algorithms.dense_traces import mean_slope, mean_slopes

    slope = torch.full((20, 2, 3), 0.3, dtype=torch.float64)
    torch.testing.assert_close(mean_slopes(slope, 0.9), slope)
    mean, rho = mean_slope(slope[0], None, None, 0.9)
    for each in slope[1:]:
        mean, rho = mean_slope(each, mean, rho, 0.9)
    torch.testing.assert_close(mean, slope[0])
    assert float(rho) == pytest.approx((1 - 0.9**20) / 0.1)


def test_otpe_is_closer_to_bptt_than_ostl_in_the_first_layer() -> None:
    def cosine(a: Tensor, b: Tensor) -> float:
        return float(F.cosine_similarity(a.flatten(), b.flatten(), 0))

    exact = gradient("bptt")[0]
    assert cosine(gradient("otpe")[0], exact) > cosine(gradient("ostl")[0], exact)


# --------------------------------------------------------------------------- when weights change


@pytest.mark.parametrize(("rule", "options"), VARIANTS, ids=str)
def test_online_updates_sum_to_T_times_the_offline_gradient_at_constant_weights(
    rule: str, options: dict[str, Any]
) -> None:
    net, x, target = drawn(dense(), rule, **options)
    module, parts = algorithms.load(rule), []

    def take() -> None:
        parts.append([p.grad.clone() for _, p in aligned(net) if p.grad is not None])
        net.zero_grad()

    chosen = module.Options(update="step", **options)
    module.train_step(net, x, StepContext(InstantaneousLoss(target, T), take), chosen)
    assert len(parts) == T
    assert not chosen.updates_once
    offline = gradient(rule, **options)
    assert difference([sum(each) for each in zip(*parts, strict=True)], [T * g for g in offline]) < 1e-12  # type: ignore[misc]


def test_traces_are_carried_across_updates() -> None:
    """Plain SGD by hand on one layer: OSTL's trace is built with the weights of its time."""
    spec, rate = dense(sizes=(7, 4)), 0.1
    net, x, target = drawn(spec, "ostl", update="step")
    start = [p.detach().clone() for _, p in aligned(net)]
    module = algorithms.load("ostl")

    @torch.no_grad()
    def sgd() -> None:
        for _, p in aligned(net):
            assert p.grad is not None
            p.sub_(rate * p.grad)
        net.zero_grad()

    module.train_step(net, x, StepContext(InstantaneousLoss(target, T), sgd), module.Options(update="step"))
    w, b = start
    n = spec.neuron
    U = P = P_b = torch.zeros((), dtype=torch.float64)
    d: Tensor | float = 1.0
    for x_t in x:
        v = n.decay * U + x_t @ w.t() + b
        s = (v >= 1).double()
        U, D = v - s, slope_of(v, n)
        carried = torch.as_tensor(n.decay * d)
        P = (carried[..., None] * P if carried.dim() else 0 * P) + x_t[:, None, :]
        P_b = carried * P_b + torch.ones_like(D)
        d = 1 - D
        onehot = F.one_hot(target, 4).double()
        g = (0.95 * (s.softmax(1) - onehot) + 0.05 * 2 * (s - onehot) / 4) / B
        w = w - rate * torch.einsum("bm,bmn->mn", g * D, P)
        b = b - rate * (g * D * P_b).sum(0)
    assert difference([p.detach() for _, p in aligned(net)], [w, b]) < 1e-12
    assert difference([w, b], start) > 1e-3


@pytest.mark.parametrize("rule", RULES)
def test_adjoint_needs_constant_weights(rule: str) -> None:
    with pytest.raises(UserError, match="use form = 'traces'"):
        algorithms.load(rule).Options(form="adjoint", update="step")


@pytest.mark.parametrize("form", ["traces", "adjoint"])
@pytest.mark.parametrize(("rule", "options"), VARIANTS, ids=str)
def test_every_rule_returns_the_summed_spikes(rule: str, options: dict[str, Any], form: str) -> None:
    net, x, target = drawn(dense(), rule, **options)
    with torch.no_grad():
        outs = net.outputs(x)
    module = algorithms.load(rule)
    got = module.train_step(net, x, StepContext(InstantaneousLoss(target, T), lambda: None), module.Options(form=form, **options))
    assert not got.requires_grad
    torch.testing.assert_close(got, outs.sum(0))


# --------------------------------------------------------------------------- what is stored


def floats_of_traces(rule: str, sizes: tuple[int, ...], **options: Any) -> int:
    """Floats of all traces of one sample after a step, without the membranes and without the scalars of a layer."""
    net, x, _ = drawn(dense(sizes=sizes), rule, **options)
    state = None
    for x_t in x[:2, :1]:
        s, state = net.step(x_t, state)
        s.sum().backward()
    assert isinstance(state, list)
    traces = [each for entry in state if entry is not None for each in state_tensors(entry[1])]
    return sum(t.numel() for t in traces if t.dim())


RANDMAN_128 = (50, 128, 128, 10)


def test_state_of_every_rule_by_hand() -> None:
    """Fact sheet, section 8.1; ours also holds d, one number per neuron, where it has traces per weight."""
    neurons, hidden = 128 + 128 + 10, 128 + 128
    parameters = [50 * 128 + 128, 128 * 128 + 128, 128 * 10 + 10]
    inputs = 50 + 128 + 128
    assert floats_of_traces("ottt-dense", RANDMAN_128) == inputs == 306
    assert floats_of_traces("ostl", RANDMAN_128) == sum(parameters) + neurons == 24_330 + neurons
    assert floats_of_traces("otpe", RANDMAN_128) == 47_626 + neurons
    assert floats_of_traces("approximate-otpe", RANDMAN_128) == inputs + (50 + 128) + hidden == 740
    assert floats_of_traces("otpe", RANDMAN_128, front=True) == 47_626 + neurons + parameters[2] + 10


def peak(network: str, algorithm: str, T: int) -> int:
    step = training_step(network, algorithm, "native", device="meta")
    return cost_of(step, *batch_for(step, T, 128, "meta")).memory.total


@pytest.mark.parametrize("rule", RULES)
def test_traces_need_no_byte_more_for_more_steps_than_their_input(rule: str) -> None:
    sizes = [peak("otpe-3x128/randman-k25", rule, T) for T in (3, 4, 9)]
    of_input = 128 * 50 * 4
    assert [sizes[1] - sizes[0], sizes[2] - sizes[1]] == [of_input, 5 * of_input]


@pytest.mark.parametrize(("network", "T"), [("otpe-3x128/randman-k25", 75), ("otpe-3x256/randman-k10", 127)])
def test_otpe_needs_more_memory_than_bptt_for_short_sequences(network: str, T: int) -> None:
    assert peak(network, "otpe", T - 1) > peak(network, "bptt", T - 1)
    assert peak(network, "otpe", T) <= peak(network, "bptt", T)
    assert peak(network, "approximate-otpe", 50) < peak(network, "bptt", 50) / 5


# --------------------------------------------------------------------------- what they are not defined for


def refused(layers: tuple[Layer, ...], shape: tuple[int, ...] = (4,), neuron: NeuronSpec = FAST) -> NetworkSpec:
    return NetworkSpec("refused", shape, 3, layers, neuron, 1, "this test")


HARD = replace(FAST, reset="hard")
OTHER = replace(FAST, decay=0.5)
REFUSED = (
    (refused((Conv(2), Spike(FAST), Flatten(), Dense(3), Spike(FAST)), (1, 4, 4)), "dense layers.*Conv"),
    (refused((Loop((Dense(4),), (Spike(FAST),), (Dense(4),)), Dense(3), Spike(FAST))), "dense layers.*Loop"),
    (refused((Dense(4), BatchNorm(), Spike(FAST), Dense(3), Spike(FAST))), "dense layers.*BatchNorm"),
    (refused((Dense(4), Spike(FAST), Dense(3))), "the last one too"),
    (refused((Dense(4), Dense(4), Spike(FAST), Spike(FAST))), "followed by neurons"),
    (refused((Dense(4), Spike(FAST, 0.1), Dense(3), Spike(FAST))), "no dropout"),
    (refused((Dense(4), Spike(HARD), Dense(3), Spike(HARD))), "reset by subtraction"),
    (refused((Dense(4), Spike(FAST), Dense(3), Spike(OTHER))), "same leak"),
)


@pytest.mark.parametrize(("spec", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
@pytest.mark.parametrize("rule", RULES)
def test_otpe_rejects_networks_without_its_equations(
    rule: str, spec: NetworkSpec, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zoo, "spec", lambda _: spec)
    with pytest.raises(UserError, match=reason):
        training_step("refused", rule, "native")


@pytest.mark.parametrize("rule", RULES)
def test_otpe_rejects_multi_step_neurons(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "spec", lambda _: dense(SMOOTH))
    able = support("dense", rule, "spikingjelly-multistep")
    assert not able
    assert "use backend spikingjelly" in able.reason or not backends.available("spikingjelly-multistep")


@pytest.mark.parametrize("rule", RULES)
def test_parameters_keep_the_names_of_bptt(rule: str) -> None:
    def names(algorithm: str) -> list[str]:
        net, _, _ = drawn(dense(), algorithm)
        found = [name.removeprefix("body.layers.").replace("synapse.", "") for name, _ in net.named_parameters()]
        assert len(found) == 6
        return found

    assert names(rule) == names("bptt")


def test_layers_of_all_rules_are_found_as_neurons() -> None:
    net, _, _ = drawn(dense(), "otpe")
    assert len(net.neurons()) == 3
    assert sum(isinstance(module, TracedLayer) for module in net.modules()) == 3
