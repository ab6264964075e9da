"""native-fast, native-balanced and native-small: the gradient of native, and their memory and MACs."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import backends, zoo
from bench.counting.any_step import Cost
from bench.counting.memory import LiveBytes
from bench.counting.step import batch_for, cost_of
from bench.counting.tape import watching
from bench.errors import UserError
from bench.kernels.bit_conv import bit_conv
from bench.kernels.compiled import available
from bench.nets import layers as m
from bench.nets import recomputing
from bench.nets.grouping import sizes
from bench.nets.recomputing import RecomputingChain
from bench.probes.equivalence import aligned_parameters, in_double
from bench.spec import (
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gain,
    Layer,
    Loop,
    NetworkSpec,
    NeuronSpec,
    Residual,
    Scale,
    Spike,
    Surrogate,
)
from bench.training_step import TrainingStep, training_step

pytestmark = pytest.mark.skipif(not available(), reason=available().reason)

MODES = ("native-fast", "native-balanced", "native-small")
NEURON = NeuronSpec(decay=0.7, threshold=0.6)
FULL = NeuronSpec(decay=0.7, threshold=0.6, reset="hard", detach_reset=False, surrogate=Surrogate("arctangent", 2.0))
HEAD = (AdaptiveAvgPool(1), Flatten(), Dense(5, init="default"))
SWS = "vgg-sws-small/cifar10"


def spec_of(name: str, *layers: Layer, parameters: int) -> NetworkSpec:
    return NetworkSpec(name, (3, 8, 8), 5, (*layers, *HEAD), NEURON, parameters, "these tests")


FIRE = (BatchNorm(), Spike(FULL))
SPECS = {
    spec.name: spec
    for spec in (
        spec_of(
            "pools",
            *(Conv(6, standardised=True), Spike(NEURON), Scale(2.74), Conv(6), Spike(FULL), Scale(0.5), AvgPool(2, 2)),
            *(Conv(8, standardised=True), Spike(FULL), Scale(2.74), Conv(4), Spike(NEURON)),
            parameters=1269,
        ),
        spec_of(
            "residual",
            *(Conv(4, bias=False), BatchNorm(), Spike(NEURON), Scale(1.5)),
            Residual(FIRE, (Conv(6, stride=2), *FIRE, Conv(6)), (Conv(6, 1, 2, 0),), "activated"),
            Residual((Spike(NEURON), Scale(2.0)), (Conv(6), Spike(NEURON), Conv(6), Gain(1.0, 0.5))),
            Residual((Spike(NEURON), Scale(3.0)), (Conv(6), Spike(NEURON), Conv(6)), (), "activated"),
            *FIRE,
            parameters=2086,
        ),
        spec_of(
            "dropout",
            *(Conv(4), Spike(NEURON, 0.3), AvgPool(2, 2), Conv(16), Spike(FULL, 0.2), Conv(8), Spike(NEURON)),
            parameters=1909,
        ),
        spec_of("loop", Loop((Conv(6),), (Spike(NEURON), Conv(8), Spike(NEURON)), (Conv(6),)), parameters=1091),
    )
}


@pytest.fixture(autouse=True)
def _own_specs(monkeypatch: pytest.MonkeyPatch) -> None:
    real = zoo.spec
    monkeypatch.setattr(zoo, "spec", lambda name: SPECS[name] if name in SPECS else real(name))


def ready(name: str, algorithm: str, backend: str, T: int, batch: int, **options: Any) -> tuple[TrainingStep, Tensor, Tensor]:
    """Return a training step in double precision, with weights for which every layer fires, and a batch."""
    with in_double():
        step = training_step(name, algorithm, backend, **options)
    generator = torch.Generator().manual_seed(3)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    with torch.no_grad():
        for parameter in aligned_parameters(step.net):
            fan_in = max(parameter.shape[1:].numel(), 1) if parameter.dim() > 1 else 1
            parameter.copy_(drawn(*parameter.shape) * 1.5 * fan_in**-0.5 + (parameter.dim() < 2))
    spec: Any = step.net.spec
    x = drawn(T, batch, *spec.input)
    return step, x, torch.randint(spec.classes, (batch,), generator=generator)


def running(net: nn.Module) -> list[Tensor]:
    return [buffer.clone() for name, buffer in net.named_buffers() if "running" in name or "batches" in name]


def gradients(
    name: str, algorithm: str, backend: str, T: int = 5, batch: int = 4, **options: Any
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Return gradients, running averages after the step, and outputs."""
    step, x, target = ready(name, algorithm, backend, T, batch, **options)
    torch.manual_seed(11)
    with in_double():
        out = step.gradients(x, target)
    found = aligned_parameters(step.net)
    assert len(found) == len(list(step.net.parameters()))
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in found], running(step.net), out


def furthest(one: list[Tensor], other: list[Tensor]) -> float:
    """Return the largest relative difference of two gradients over parameters."""
    whole = torch.stack([g.norm() for g in one]).norm()
    return max(float((a - b).norm() / torch.maximum(a.norm(), 1e-3 * whole)) for a, b in zip(one, other, strict=True))


def assert_same(
    name: str, algorithm: str, mode: str, T: int = 5, batch: int = 4, backend: str = "native", **options: Any
) -> None:
    exact, averages, out = gradients(name, algorithm, backend, T, batch, **options)
    found, moved, same_out = gradients(name, algorithm, mode, T, batch, **options)
    assert all(float(g.norm()) > 0 for g in exact if g.dim() > 1)  # every layer has a gradient
    assert furthest(exact, found) < 1e-10
    torch.testing.assert_close(out, same_out, rtol=1e-10, atol=1e-12)
    assert len(averages) == len(moved)
    for one, other in zip(averages, moved, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)  # updated once per step


# --------------------------------------------------------------------------- the same gradient

ALGORITHMS: list[tuple[str, dict[str, Any]]] = [
    ("bptt", {}), ("checkpointed", {"segments": 3}), ("tbptt", {"K": 2}), ("local", {"b": 1}), ("local", {"b": 2}),
]  # fmt: skip


@pytest.mark.sampled(every=2)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("algorithm", "options"), ALGORITHMS, ids=[f"{a} {o}" for a, o in ALGORITHMS])
@pytest.mark.parametrize("name", ["pools", "residual"])
def test_modes_have_the_gradient_of_native(name: str, algorithm: str, options: dict[str, Any], mode: str) -> None:
    assert_same(name, algorithm, mode, **options)


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize(("algorithm", "options"), ALGORITHMS[:3], ids=[a for a, _ in ALGORITHMS[:3]])
def test_modes_have_the_gradient_of_native_in_several_pieces(algorithm: str, options: dict[str, Any], mode: str) -> None:
    """20 samples are recomputed in pieces of 8, 8 and 4."""
    step, _, _ = ready("pools", algorithm, mode, 1, 1, **options)
    body: Any = step.net.body
    assert {len(group.pieces(20)) for group in body.groups} == {3}
    assert_same("pools", algorithm, mode, batch=20, **options)


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize(("algorithm", "options"), ALGORITHMS[:3], ids=[a for a, _ in ALGORITHMS[:3]])
def test_recomputation_redraws_the_same_dropout_masks(algorithm: str, options: dict[str, Any], mode: str) -> None:
    """In one piece, masks and gradient are those of native-fast, which draws in the order of its layout."""
    assert_same("dropout", algorithm, mode, backend="native-fast", **options)


@pytest.mark.parametrize("mode", MODES[1:])
def test_recomputation_in_pieces_redraws_the_masks_of_each_piece(mode: str) -> None:
    """The backward pass redraws the mask of each piece; pieces have different masks."""
    step, x, target = ready("dropout", "bptt", mode, 5, 20)
    body: Any = step.net.body
    (group, *_) = body.groups
    first = next(layer for layer in step.net.neurons() if layer.dropout)  # type: ignore[operator]
    masks: list[Tensor] = []
    first.register_forward_hook(lambda _, __, out: masks.append(out[1][1].detach().clone()))
    step.gradients(x, target)
    n = len(group.pieces(20))
    assert n == 3
    assert len(masks) == 2 * n
    for one, again in zip(masks[:n], masks[n:], strict=True):
        assert torch.equal(one, again)
    assert not torch.equal(masks[0], masks[1])


@pytest.mark.parametrize("mode", MODES)
def test_modes_have_the_outputs_and_state_of_native_without_gradients(mode: str) -> None:
    """Without gradients, also step by step, outputs and state equal those of native."""
    outs, ends = [], []
    for backend in ("native", mode):
        step, x, _ = ready("pools", "bptt", backend, 5, 3)
        net: Any = step.net.eval()
        with torch.no_grad():
            first, state = net.window(x[:2], net.initial_state(3))
            rest, state = net.window(x[2:], state)
        outs.append(torch.cat([first, rest]))
        ends.append([v for v in m.state_tensors(state) if v is not None])
    torch.testing.assert_close(*outs, rtol=1e-10, atol=1e-12)
    assert len(ends[0]) == len(ends[1]) == 4
    for one, other in zip(*ends, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mode", MODES)
def test_modes_have_the_gradient_of_the_initial_state(mode: str) -> None:
    """dL/d(state before the window), which checkpointing needs; also for a state that needs no gradient."""
    found = []
    for backend in ("native", mode):
        step, x, _ = ready("pools", "bptt", backend, 4, 3)
        net: Any = step.net
        with torch.no_grad():
            _, state = net.window(x[:2], None)
        start = m.map_state(lambda v: v.detach().requires_grad_(), state)
        inputs = list(m.state_tensors(start))
        inputs[-1].requires_grad_(False)
        out, after = net.window(x[2:], m.map_state(lambda v: v, start))
        weighted = [(v * torch.linspace(0, 1, v.numel(), dtype=v.dtype).view(v.shape)).sum() for v in m.state_tensors(after)]
        torch.autograd.backward([out.square().sum(), *weighted])
        assert inputs[-1].grad is None
        found.append([v.grad for v in inputs[:-1]])
    assert all(float(g.norm()) > 0 for g in found[0])
    assert furthest(*found) < 1e-10


def scales(net: nn.Module) -> list[float]:
    return [layer.factor for layer in net.modules() if isinstance(layer, m.Scaled)]


def test_scales_folded_are_restored_where_a_block_begins() -> None:
    folded, _, _ = ready("pools", "bptt", "native-fast", 1, 1)
    assert scales(folded.net) == [1.0, 1.0, 1.0]
    factors = [layer.factor for layer in folded.net.modules() if isinstance(layer, m.ConvSynapse)]
    assert factors == [1.0, 2.74, 0.5, 2.74]
    cut, _, _ = ready("pools", "local", "native-fast", 1, 1, b=2)
    assert scales(cut.net) == [1.0, 0.5, 1.0]  # a classifier reads this input too
    residual, _, _ = ready("residual", "bptt", "native-fast", 1, 1)
    assert scales(residual.net) == [
        1.5,
        1.0,
        3.0,
    ]  # the sum of a block reads the first and third


# --------------------------------------------------------------------------- windows of K steps


@pytest.mark.parametrize("backend", ["native", "native-fast"])
@pytest.mark.parametrize("algorithm", ["ottt-a", "sltt"])
@pytest.mark.parametrize("name", ["pools", "residual"])
def test_gradient_does_not_depend_on_the_window_length(name: str, algorithm: str, backend: str) -> None:
    T = 5
    exact, averages, out = gradients(name, algorithm, "native", T)
    assert furthest(exact, gradients(name, "bptt", "native", T)[0]) > 1e-3
    for K in range(1, T + 1):  # most do not divide T
        found, moved, same = gradients(name, algorithm, backend, T, K=K)
        assert furthest(exact, found) < 1e-10, K
        torch.testing.assert_close(out, same, rtol=1e-10, atol=1e-12)
        for one, other in zip(averages, moved, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("algorithm", ["ottt-a", "sltt"])
def test_gradient_does_not_depend_on_the_window_length_with_recomputation(algorithm: str, mode: str) -> None:
    exact, _, _ = gradients("pools", algorithm, "native")
    assert furthest(exact, gradients("pools", algorithm, mode, K=2)[0]) < 1e-10


@pytest.mark.parametrize("algorithm", ["ottt-a", "sltt"])
def test_windows_with_gradient_through_time_are_rejected(algorithm: str) -> None:
    with pytest.raises(UserError, match="K = 3: a loop"):
        training_step("loop", algorithm, "native", K=3)
    with pytest.raises(UserError, match="K = 0"):
        training_step("pools", algorithm, "native", K=0)
    if not (able := backends.available("spikingjelly")):
        pytest.skip(able.reason)
    with pytest.raises(UserError, match="K = 3: these neurons"):
        training_step("pools", algorithm, "spikingjelly", K=3)
    training_step("pools", algorithm, "spikingjelly", K=1)


# --------------------------------------------------------------------------- memory and MACs

T, BATCH = 6, 128


@cache
def cost(backend: str, network: str = SWS) -> Cost:
    step = training_step(network, "bptt", backend, device="meta")
    return cost_of(step, *batch_for(step, T, BATCH, "meta"))


@pytest.mark.parametrize("network", [SWS, "lenet/dvs-gesture"])
def test_memory_decreases_from_mode_to_mode(network: str) -> None:
    native, fast, balanced, small = (cost(backend, network).memory.total for backend in ("native", *MODES))
    assert small < balanced < fast < native


def test_first_residual_block_determines_the_peak_of_recomputing_modes_with_batch_norm() -> None:
    """With batch norm it cannot run in pieces; later layers, recomputed or at one bit per spike, need less than its graph."""
    native, fast, balanced, small = (cost(backend, "resnet18/cifar10").memory.total for backend in ("native", *MODES))
    assert small == balanced < 0.5 * fast < 0.5 * native


@pytest.mark.parametrize("mode", MODES[1:])
def test_convolutions_in_residual_blocks_save_spikes_at_one_bit(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """ResNet-18 has two convolutions in each of 8 blocks and three in shortcuts; its first convolution reads an image."""
    step, calls = training_step("resnet18/cifar10", "bptt", mode, device="meta"), []

    def counted(*arguments: Any) -> Tensor:
        calls.append(arguments)
        return bit_conv(*arguments)

    monkeypatch.setattr(recomputing, "bit_conv", counted)
    step.run(*batch_for(step, 2, 3, "meta"))
    assert len(calls) == 19


@pytest.mark.parametrize("network", [SWS, "lenet/dvs-gesture", "resnet18/cifar10"])
def test_native_balanced_needs_at_most_a_seventh_more_macs(network: str) -> None:
    native, fast, balanced = (sum(cost(backend, network).macs.dense.values()) for backend in ("native", *MODES[:2]))
    assert fast == native
    assert native < balanced <= native * 8 / 7


@pytest.mark.parametrize("mode", MODES[1:])
def test_recomputed_macs_are_those_of_the_groups(mode: str) -> None:
    step = training_step(SWS, "bptt", mode, device="meta")
    body: Any = step.net.body
    assert isinstance(body, RecomputingChain)
    assert body.groups
    found = sizes(step.net)  # type: ignore[arg-type]
    again = sum(found[i].macs for group in body.groups for i in range(*group.cut))
    dense = cost(mode).macs.dense
    assert dense["recomputation"] == T * BATCH * again > 0
    assert dense["forward"] == T * BATCH * sum(size.macs for size in found)
    assert {role: n for role, n in cost("native").macs.dense.items() if role != "recomputation"} == {
        role: n for role, n in dense.items() if role != "recomputation"
    }


def test_bit_conv_unpacks_spikes_only_for_the_weight_gradient() -> None:
    """After the weight gradient they are freed, before their own gradient is allocated."""
    s, weight = torch.empty(6, 4, 8, 8, device="meta").requires_grad_(), torch.empty(4, 4, 3, 3, device="meta").requires_grad_()
    y = bit_conv(s, weight, None, 1, 1)
    g, live = torch.empty_like(y), LiveBytes()
    live.mark([s, weight, y, g], "inputs")
    with watching(live):
        s_grad, weight_grad = torch.autograd.grad(y, (s, weight), g)
    peak = live.peak()
    assert peak.total - peak.by_category["inputs"] == 4 * (s_grad.numel() + weight_grad.numel() + 1)  # the 1 is one spike


@pytest.mark.sampled(every=2)
@pytest.mark.parametrize("network", [SWS, "resnet20/cifar10"])
@pytest.mark.parametrize("mode", MODES)
def test_modes_cost_the_same_on_meta_and_real_tensors(mode: str, network: str) -> None:
    """The layout is channels-last, which must hold on device 'meta' too."""
    found = []
    for device in ("cpu", "meta"):
        step = training_step(network, "bptt", mode, device=device)
        counted = cost_of(step, *batch_for(step, 2, 10, device))
        found.append((counted.memory.total, counted.macs.dense, counted.macs.multiplications))
    assert found[0] == found[1]
