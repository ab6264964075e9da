"""One-bit replay: BPTT's gradient from saved spikes, with membrane potentials recomputed backwards in time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import hypothesis
import hypothesis.strategies as st
import pytest
import torch
from torch import Tensor

from bench.algorithms import replay
from bench.counting.step import batch_for, cost_of
from bench.errors import UserError
from bench.kernels.bits import pack, unpack
from bench.kernels.lif import lif
from bench.kernels.reversed_lif import CarriedGradient, reversed_lif
from bench.spec import (  # fmt: skip
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gain,
    Layer,
    NetworkSpec,
    NeuronSpec,
    Residual,
    Scale,
    Spike,
    Surrogate,
)
from bench.training_step import support, training_step

NEURON = NeuronSpec(decay=0.7, threshold=0.6)
THROUGH_RESET = NeuronSpec(decay=0.9, threshold=0.6, detach_reset=False, surrogate=Surrogate("triangle", 1.0))
INTEGRATOR = NeuronSpec(decay=1.0, threshold=0.6)
HEAD = (AdaptiveAvgPool(1), Flatten(), Dense(5, init="default"))


def network(name: str, layers: tuple[Layer, ...], parameters: int) -> NetworkSpec:
    return NetworkSpec(name, (3, 8, 8), 5, (*layers, *HEAD), NEURON, parameters, "these tests")


PLAIN = (Conv(6), Spike(NEURON), AvgPool(2, 2), Conv(8, standardised=True), Spike(THROUGH_RESET), Scale(2.74))
NETWORKS = {
    spec.name: spec
    for spec in (
        network("plain", PLAIN, 661),
        network("dropout", (Conv(6), Spike(INTEGRATOR, 0.3), Conv(8), Spike(NEURON, 0.2)), 653),
        network("batch norm", (Conv(6, bias=False), BatchNorm(), Spike(NEURON), Conv(8), BatchNorm(), Spike(NEURON)), 675),
        network("residual", (Conv(6), Residual((Spike(NEURON),), (Conv(6), Spike(NEURON), Conv(6), Gain(1.0, 0.5)))), 864),
    )
}


def gradients(
    monkeypatch: pytest.MonkeyPatch, spec: NetworkSpec, algorithm: str, T: int, dtype: torch.dtype = torch.float64, **options: Any
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Return gradients, running averages and outputs; weights, input and random numbers are the same for all calls."""
    monkeypatch.setattr("bench.zoo.spec", lambda _: spec)
    step = training_step(spec.name, algorithm, "native", **options)
    step.net.to(dtype)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in step.net.parameters():
            fan_in = max(parameter.shape[1:].numel(), 1) if parameter.dim() > 1 else 1
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64).float()
            parameter.copy_(noise * (1.5 * fan_in**-0.5) + (parameter.dim() < 2))
    x = torch.randn(T, 4, 3, 8, 8, generator=generator, dtype=torch.float64).float().to(dtype)
    torch.manual_seed(11)
    out = step.gradients(x, torch.tensor([0, 1, 2, 4]))
    found = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in step.net.parameters()]
    return found, [b.clone() for name, b in step.net.named_buffers() if "running" in name], out


def furthest(one: list[Tensor], other: list[Tensor]) -> float:
    whole = torch.stack([g.double().norm() for g in one]).norm()
    pairs = ((a.double(), b.double()) for a, b in zip(one, other, strict=True))
    return max(float((a - b).norm() / torch.maximum(a.norm(), 1e-3 * whole)) for a, b in pairs)


@pytest.mark.parametrize("spec", NETWORKS.values(), ids=lambda spec: spec.name)
def test_replay_equals_bptt_for_every_window(monkeypatch: pytest.MonkeyPatch, spec: NetworkSpec) -> None:
    T = 7
    exact, averages, outputs = gradients(monkeypatch, spec, "bptt", T)
    assert all(float(g.norm()) > 0 for g in exact if g.dim() > 1)  # every layer has a gradient
    for K in range(1, T + 1):
        found, moved, out = gradients(monkeypatch, spec, "replay", T, K=K)
        assert furthest(exact, found) < 1e-10, f"K = {K}"
        torch.testing.assert_close(out, outputs, rtol=1e-12, atol=1e-12)
        for one, other in zip(averages, moved, strict=True):
            torch.testing.assert_close(one, other)  # running averages of batch norm are updated once


@pytest.mark.parametrize("name", NETWORKS)
def test_replay_rounding_does_not_grow_with_the_sequence(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """In single precision, replay is as close to BPTT in double precision as BPTT in single precision is."""
    spec = NETWORKS[name]
    for T, K in ((12, 1), (20, 5), (100, 1), (100, 7)):
        exact = gradients(monkeypatch, spec, "bptt", T)[0]
        single = furthest(exact, gradients(monkeypatch, spec, "bptt", T, torch.float32)[0])
        replayed = furthest(exact, gradients(monkeypatch, spec, "replay", T, torch.float32, K=K)[0])
        assert replayed <= 3 * single + 5e-6, f"T = {T}, K = {K}"


def test_replay_without_saved_states_loses_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    spec, T = NETWORKS["plain"], 100  # decay 0.7: an error grows by 0.7^-100 = 10^15
    exact = gradients(monkeypatch, spec, "bptt", T)[0]
    kept = furthest(exact, gradients(monkeypatch, spec, "replay", T, torch.float32)[0])
    monkeypatch.setattr(replay, "invertible_steps", lambda _: T)
    lost = furthest(exact, gradients(monkeypatch, spec, "replay", T, torch.float32)[0])
    assert not lost < 100 * kept  # also true for nan


@pytest.mark.parametrize(("decay", "steps"), [(0.5, 4), (0.97, 91), (1.0, float("inf"))])
def test_steps_back_equal_those_of_the_documentation(monkeypatch: pytest.MonkeyPatch, decay: float, steps: float) -> None:
    spec = network("one", (Conv(6), Spike(NeuronSpec(decay=decay))), 203)
    monkeypatch.setattr("bench.zoo.spec", lambda _: spec)
    assert replay.invertible_steps(training_step("one", "replay", "native").net) == steps  # type: ignore[arg-type]


def test_windows_cover_every_step_with_limited_inversions_in_a_row() -> None:
    for T in range(1, 20):
        for K in range(1, T + 1):
            for within in (1, 3, 7, math.inf):
                parts = replay.windows(T, K, within)
                assert [t for begin, end in parts for t in range(begin, end)] == list(range(T))
                assert parts[-1] == (T - K, T)
                assert all(end - begin <= min(K, within) for begin, end in parts[:-1])
                starts = sorted({0, T - K, *(parts[i][0] for i in replay.windows_to_save(parts, within))})
                undone = [later - earlier for earlier, later in pairwise(starts)]
                assert all(steps <= within for steps in undone)
                assert sum(undone) == T - K


def soft_neurons() -> Iterator[NeuronSpec]:
    for decay in (0.5, 0.97, 1.0):
        for detach in (True, False):
            for kind in ("sigmoid", "triangle"):
                yield NeuronSpec(decay, 0.8, "soft", detach, Surrogate(kind, 1.5))  # type: ignore[arg-type]


@pytest.mark.parametrize("neuron", list(soft_neurons()), ids=str)
def test_reversed_lif_recovers_the_initial_state_and_the_gradient(neuron: NeuronSpec) -> None:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(6, 3, 5, generator=generator, dtype=torch.float64).requires_grad_()
    v = torch.randn(3, 5, generator=generator, dtype=torch.float64).requires_grad_()
    s, after = lif(x, v, neuron)
    g_s, g_v = torch.randn(s.shape, generator=generator).double(), torch.randn(v.shape, generator=generator).double()
    expected = torch.autograd.grad([s, after], [x, v], [g_s, g_v])
    carry = CarriedGradient()
    carry.g_v = g_v
    back, before = reversed_lif(x, after.detach(), pack(s.detach()), neuron, carry)
    torch.testing.assert_close(back, s)
    torch.testing.assert_close(before, v.detach(), rtol=1e-10, atol=1e-10)
    (g_x,) = torch.autograd.grad(back, x, g_s)
    assert carry.g_v is not None
    torch.testing.assert_close((g_x, carry.g_v), expected, rtol=1e-9, atol=1e-9)


@hypothesis.given(
    st.lists(st.integers(0, 20), min_size=1, max_size=4), st.sampled_from([torch.float32, torch.float64, torch.bfloat16])
)
def test_pack_uses_one_bit_per_spike_and_unpack_inverts_it(shape: list[int], dtype: torch.dtype) -> None:
    s = (torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape))) < 0.4).to(dtype)
    bits = pack(s)
    assert bits.dtype == torch.uint8
    assert bits.numel() == -(-s.numel() // 8)
    assert torch.equal(unpack(bits, s.shape, dtype), s)


def test_replay_memory_per_step_is_its_input_and_one_bit_per_neuron() -> None:
    """And a state wherever one is saved against rounding: none for neurons without leak."""

    def peak(T: int) -> int:
        step = training_step("vgg5/cifar10", "replay", "native", device="meta", K=2)
        return cost_of(step, *batch_for(step, T, 8, "meta")).memory.total

    neurons = 64 * 32 * 32 + 2 * 128 * 16 * 16 + 2 * 4096
    assert peak(42) - peak(40) == 2 * 8 * (4 * 3 * 32 * 32 + neurons // 8)


@pytest.mark.parametrize(
    ("layers", "reason"),
    [
        ((Conv(6), Spike(NeuronSpec(reset="hard"))), "a hard reset cannot be undone"),
        ((Conv(6), Residual((), (Conv(6), Spike(NeuronSpec(reset="hard"))))), "a hard reset cannot be undone"),
        ((Conv(6), Spike(NeuronSpec(decay=0.0))), "divides by the decay, which is 0"),
    ],
)
def test_replay_rejects_neurons_that_cannot_be_inverted(layers: tuple[Layer, ...], reason: str) -> None:
    able = replay.supports(network("refused", layers, 0))
    assert not able
    assert reason in able.reason


def test_replay_rejects_loops_and_other_backends() -> None:
    assert "impossible in a loop over time steps" in support("r400/fashion-mnist", "replay", "native").reason
    assert "replay runs on backend native only" in support("vgg5/cifar10", "replay", "snntorch").reason


def test_replay_rejects_invalid_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    for K, reason in ((0, "K = 0; use a whole number >= 1"), (8, "K = 8 of T = 7")):
        with pytest.raises(UserError, match=reason):
            gradients(monkeypatch, NETWORKS["plain"], "replay", 7, K=K)
