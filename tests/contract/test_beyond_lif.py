"""Every algorithm at every neuron and layer beyond LIF: it is right, or refuses in words before anything runs.

Gradients in double precision on tiny networks, one for each neuron and layer.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import backends, zoo
from bench.backends import native
from bench.losses import InstantaneousLoss
from bench.nets.build import Network, build
from bench.nets.layers import Synapse, aligned, map_state, state_tensors
from bench.nets.weights import copy_weights
from bench.probes.equivalence import in_double
from bench.registry import ALGORITHMS
from bench.spec import (
    AdaptiveAvgPool,
    AdaptiveLIF,
    Attention,
    Conv,
    Dense,
    Flatten,
    GroupNorm,
    Layer,
    LayerNorm,
    Loop,
    MaxPool,
    NetworkSpec,
    Neuron,
    NeuronSpec,
    ParametricLIF,
    RefractoryLIF,
    Spike,
    SynapticLIF,
)
from bench.training_step import support, training_step

LIF = NeuronSpec(decay=0.5, threshold=0.5)
T, BATCH = 12, 2


def _spec(name: str, layers: tuple[Layer, ...], parameters: int) -> NetworkSpec:
    layers = (*layers, AdaptiveAvgPool(1), Flatten(), Dense(3, init="default"))
    return NetworkSpec(name, (2, 4, 4), 3, layers, LIF, parameters + 4 * 3 + 3, "these tests", "frames")


def _of(name: str, neuron: Neuron, learnt: int = 0) -> NetworkSpec:
    return _spec(name, (Conv(4), Spike(neuron), Conv(4), Spike(neuron)), 2 * 4 * 9 + 4 + 4 * 4 * 9 + 4 + learnt)


PROJECT = (Conv(4, 1, padding=0), Spike(LIF))
NETWORKS = {
    spec.name: spec
    for spec in (
        _of("plif", ParametricLIF(LIF), 2),
        _of("plif, clamped", ParametricLIF(LIF, "clamped"), 2),
        _of("plif, hard", ParametricLIF(replace(LIF, reset="hard", detach_reset=False)), 2),
        _of("synaptic", SynapticLIF(LIF)),
        _of("synaptic, hard", SynapticLIF(replace(LIF, reset="hard", detach_reset=False))),
        _of("alif", AdaptiveLIF(LIF)),
        _of("alif, hard", AdaptiveLIF(replace(LIF, reset="hard", detach_reset=False))),
        _of("refractory", RefractoryLIF(LIF)),
        _of("refractory, hard", RefractoryLIF(replace(LIF, reset="hard", detach_reset=False), 1)),
        _spec("norms", (Conv(4), GroupNorm(2), Spike(LIF), MaxPool(2, 2), Conv(4), LayerNorm(), Spike(LIF)), 76 + 8 + 148 + 32),
        _spec("recurrent", (Conv(4), Loop((), (Spike(LIF),), (Conv(4),))), 76 + 148),
        _spec("attention", (*PROJECT, Attention(PROJECT, PROJECT, PROJECT, 2, 1.0), *PROJECT), 12 + 4 * 20),
    )
}
BEYOND = [name for name, spec in NETWORKS.items() if spec.beyond_lif is not None]


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(zoo, "spec", lambda name: NETWORKS[name])
    with in_double():
        yield


def batch() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return 2 * torch.randn(T, BATCH, 2, 4, 4, generator=generator), torch.tensor([0, 2])


def drawn(net: nn.Module) -> None:
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for kind, parameter in aligned(net):
            noise = torch.randn(parameter.shape, generator=generator)
            if kind == "weight" and parameter.dim() > 1:
                parameter.copy_(2 * noise * parameter[0].numel() ** -0.5)
            else:
                parameter.copy_(0.1 * noise + {"bias": 0.0, "decay": 0.5}.get(kind, 1.0))


def gradients(name: str, algorithm: str, backend: str = "native", **options: Any) -> list[Tensor]:
    step = training_step(name, algorithm, backend, **options)
    drawn(step.net)
    torch.manual_seed(0)
    step.gradients(*batch())
    found = [parameter.grad for _, parameter in aligned(step.net)]
    return [torch.zeros_like(p) if g is None else g for g, (_, p) in zip(found, aligned(step.net), strict=True)]


def assert_equal(found: list[Tensor], expected: list[Tensor]) -> None:
    assert all(float(g.norm()) > 0 for g in expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


# --------------------------------------------------------------------------- who can

DENSE_RULES = ("ottt-dense", "ostl", "otpe", "approximate-otpe")
REFUSES = {
    "ottt-a": (BEYOND, "OTTT's trace is that of LIF neurons with a fixed decay"),
    "ottt-o": (BEYOND, "OTTT's trace is that of LIF neurons with a fixed decay"),
    "replay": ([*BEYOND, "recurrent"], "one-bit replay"),
    "local": (["recurrent"], "a loop cannot be cut into blocks"),
    "ttl-bptt": (["recurrent"], "a loop cannot be cut into blocks"),
    **dict.fromkeys(DENSE_RULES, (list(NETWORKS), "its traces are defined for dense layers")),
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_algorithms_refuse_what_they_cannot_treat(algorithm: str) -> None:
    refused, reason = REFUSES.get(algorithm, ([], ""))
    for name in NETWORKS:
        answer = support(name, algorithm, "native", T=T)
        assert bool(answer) is (name not in refused), (name, answer)
        assert answer or reason in answer.reason


@pytest.mark.parametrize("algorithm", DENSE_RULES)
@pytest.mark.parametrize("name", BEYOND)
def test_rules_of_dense_layers_refuse_other_neurons(algorithm: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    neuron = NETWORKS[name].beyond_lif
    assert neuron is not None
    dense = NetworkSpec("dense", (4,), 3, (Dense(3), Spike(neuron)), LIF, 0, "this test", "frames")
    monkeypatch.setattr(zoo, "spec", lambda _: dense)
    assert f"this network has {neuron.words}" in support("dense", algorithm, "native").reason


@pytest.mark.parametrize("name", BEYOND)
def test_options_that_need_lif_are_refused(name: str) -> None:
    assert "skipped = leak" in support(name, "skipper", "native", options={"skipped": "leak"}).reason
    assert "use K = 1" in support(name, "sltt", "native", options={"K": 2}).reason


# --------------------------------------------------------------------------- exact algorithms


def exact(name: str) -> list[tuple[str, dict[str, Any]]]:
    every: list[tuple[str, dict[str, Any]]] = [
        ("checkpointed", {"segments": 3}), ("replay", {"K": 2}), ("skipper", {"p": 0, "segments": 2}), ("tbptt", {"K": T}),
        ("local", {"b": 9}), ("ttl-bptt", {"b": 9, "K": T, "update": "end"}),
    ]  # fmt: skip
    return [(algorithm, options) for algorithm, options in every if support(name, algorithm, "native", options=options)]


@pytest.mark.parametrize("name", NETWORKS)
def test_exact_algorithms_give_the_gradient_of_bptt(name: str) -> None:
    expected = gradients(name, "bptt")
    ran = exact(name)
    assert len(ran) >= 3
    for algorithm, options in ran:
        assert_equal(gradients(name, algorithm, **options), expected)
    for mode in ("native-fast", "native-balanced", "native-small"):
        if backends.available(mode):
            assert_equal(gradients(name, "bptt", mode), expected)


# --------------------------------------------------------------------------- online algorithms against a loop by hand


def by_steps(name: str, forward: Callable[[Network], None] = lambda net: None) -> list[Tensor]:
    """The gradient of each time step alone, the state detached between steps."""
    net = build(NETWORKS[name], native).train()
    drawn(net)
    forward(net)
    x, target = batch()
    loss, state = InstantaneousLoss(target, T), None
    for x_t in x:
        out, state = net.step(x_t, state)
        loss(out[None]).backward()
        state = map_state(torch.Tensor.detach, state)
    return [parameter.grad for _, parameter in aligned(net) if parameter.grad is not None]


@pytest.mark.parametrize("name", NETWORKS)
def test_sltt_is_the_gradient_of_each_step_alone(name: str) -> None:
    assert_equal(gradients(name, "sltt"), by_steps(name))
    assert_equal(gradients(name, "sltt-k", k=T), by_steps(name))
    assert_equal(gradients(name, "tbptt", K=1), by_steps(name))


class Traced(nn.Module):
    """A synapse whose weight gradient is taken at a decaying sum of its inputs: y = W x, as if it were W a + constant."""

    def __init__(self, synapse: Synapse) -> None:
        super().__init__()
        self.synapse, self.a = synapse, torch.zeros(())

    def forward(self, x: Tensor, state: object) -> tuple[Tensor, object]:
        synapse, (x_t,) = self.synapse, x
        self.a = LIF.decay * self.a + x_t.detach()
        weight, fixed = synapse.effective_weight(), synapse.effective_weight().detach()
        bias, synapse.bias = synapse.bias, None  # its gradient is that of the other term
        learnt = synapse.transmit(self.a, weight)
        synapse.bias = bias
        return (learnt - learnt.detach() + synapse.transmit(x_t, fixed)).unsqueeze(0), state


def traced(net: Network) -> None:
    for parent in list(net.modules()):
        for key, child in list(parent.named_children()):
            if isinstance(child, Synapse) and child.presynaptic == "spikes":
                setattr(parent, key, Traced(child))


@pytest.mark.parametrize("name", ["norms", "recurrent", "attention"])
def test_ottt_takes_weight_gradients_from_traces_at_layers_beyond_lif(name: str) -> None:
    """What reads spikes has a trace, also behind max pooling, in the loop and in the projections of attention."""
    expected = by_steps(name, traced)
    assert_equal(gradients(name, "ottt-a"), expected)
    without = gradients(name, "sltt")
    assert any(not torch.allclose(one, other) for one, other in zip(without, expected, strict=True))


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "recurrent"])
def test_local_learning_gives_each_block_the_gradient_of_its_own_loss(name: str) -> None:
    """One block of all layers is BPTT (above); of more, the last one's gradient is that of the readout's loss alone."""
    step = training_step(name, "local", "native", b=1)
    drawn(step.net)
    step.gradients(*batch())
    net: Any = step.net
    (begin, end), x, target = net.parts[-1], *batch()
    layers = copy.deepcopy(net.body.layers)
    with torch.no_grad():
        for layer in layers[:begin]:
            x, _ = layer(x, None)
    for layer in layers[begin:end]:
        x, _ = layer(x, None)
    for parameter in layers.parameters():
        parameter.grad = None
    InstantaneousLoss(target, T)(x).backward()
    for mine, other in zip(net.body.layers[begin:end].parameters(), layers[begin:end].parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-9, atol=1e-12)


# --------------------------------------------------------------------------- windows, state, copies and frameworks


def able(backend: str) -> list[str]:
    return [name for name in NETWORKS if support(name, "bptt", backend)]


@pytest.mark.parametrize("backend", ["native", "native-fast", "spikingjelly-multistep", "spikingjelly", "snntorch"])
def test_a_window_equals_its_steps_and_the_state_is_whole(backend: str) -> None:
    if not backends.available(backend):
        pytest.skip(backends.available(backend).reason)
    assert able(backend)
    for name in able(backend):
        net: Any = build(NETWORKS[name], backends.load(backend))  # type: ignore[arg-type]
        net.reset_parameters(0)
        drawn(net)
        x, _ = batch()
        with torch.no_grad():
            whole, after = net.window(x, None)
            first, state = net.window(x[:3], None)
            outs = [*first]
            for x_t in x[3:]:
                out, state = net.step(x_t, copy.deepcopy(state))
                outs.append(out)
        torch.testing.assert_close(torch.stack(outs), whole, rtol=1e-12, atol=1e-12)
        assert len(list(state_tensors(state))) == len(list(state_tensors(after))) > 0
        for one, other in zip(state_tensors(state), state_tensors(after), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", ["spikingjelly", "spikingjelly-multistep", "snntorch"])
def test_frameworks_give_the_native_gradient_for_what_they_ship_and_can_be_copied(backend: str) -> None:
    if not backends.available(backend):
        pytest.skip(backends.available(backend).reason)
    names = able(backend)
    assert len(names) >= 4
    for name in names:
        assert_equal(gradients(name, "bptt", backend), gradients(name, "bptt"))
        one, other = training_step(name, "bptt", backend), training_step(name, "bptt", "native", seed=1)
        one.run(*batch())
        again = copy.deepcopy(one)
        copy_weights(again.net, other.net)
        for (kind, mine), (same, theirs) in zip(aligned(one.net), aligned(other.net), strict=True):
            assert kind == same
            assert torch.equal(mine, theirs)


@pytest.mark.parametrize(
    ("backend", "name", "said"),
    [
        ("spikingjelly", "alif", "no adaptive threshold"),
        ("spikingjelly", "refractory", "no neurons with a refractory period"),
        ("spikingjelly-multistep", "plif, clamped", "through a sigmoid alone"),
        ("snntorch", "plif", "not through a sigmoid"),
        ("snntorch", "alif", "no neurons with an adaptive threshold"),
        ("snntorch", "refractory", "use backend native"),
    ],
)
def test_frameworks_refuse_neurons_that_they_do_not_ship(backend: str, name: str, said: str) -> None:
    if not backends.available(backend):
        pytest.skip(backends.available(backend).reason)
    assert said in support(name, "bptt", backend).reason
    with pytest.raises(Exception, match=r".") as error:
        build(NETWORKS[name], backends.load(backend))  # type: ignore[arg-type]
    assert said in str(error.value)


def test_the_kernel_names_what_no_fused_kernel_computes() -> None:
    if not backends.available("native-fast"):
        pytest.skip(backends.available("native-fast").reason)
    kernels = {name: training_step(name, "bptt", "native-fast").kernel for name in ("plif", "synaptic", "alif", "attention")}
    fused = backends.load("native-fast").kernel()
    assert kernels == {
        "plif": fused,
        "synaptic": f"{fused}; the synaptic current: torch",
        "alif": f"{fused}; neurons with an adaptive threshold (ALIF): torch",
        "attention": fused,
    }


def test_the_learnt_decay_starts_at_the_decay_of_the_spec() -> None:
    having = {"plif": ("native", "spikingjelly"), "plif, clamped": ("native", "snntorch")}
    for name, backend in [(name, backend) for name, names in having.items() for backend in names]:
        if backends.available(backend):
            net = training_step(name, "bptt", backend).net
            start = [parameter.item() for kind, parameter in aligned(net) if kind == "decay"]
            assert start == pytest.approx([0.0, 0.0] if name == "plif" else [0.5, 0.5])  # sigmoid(-0) = 0.5


def test_the_refractory_period_lasts_the_stated_steps() -> None:
    neurons = native.neurons(RefractoryLIF(replace(LIF, decay=0.0), 3))
    s, (v, left) = neurons(torch.ones(10, 1, 1), None)
    assert s.flatten().tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1, 0]
    assert left.dtype is torch.int8
    assert (int(left), float(v)) == (2, 0.5)
