"""Checkpointing, Skipper and truncated BPTT: their relations to BPTT and SLTT, on every backend."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import backends
from bench.algorithms.segments import best_segments, edges, falling_edges
from bench.algorithms.skipper import Options, activity, kept_steps
from bench.counting.step import batch_for, cost_of
from bench.errors import UserError
from bench.losses import InstantaneousLoss
from bench.nets.layers import leak, state_tensors
from bench.spec import (  # fmt: skip
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
)
from bench.training_step import training_step
from tests.registered import PLAIN

NEURON = NeuronSpec(decay=0.7, threshold=0.6)
FULL = NeuronSpec(decay=0.7, threshold=0.6, reset="hard", detach_reset=False)
HEAD = (AdaptiveAvgPool(1), Flatten(), Dense(5, init="default"))


def network(name: str, layers: tuple[Layer, ...], parameters: int) -> NetworkSpec:
    return NetworkSpec(name, (3, 8, 8), 5, (*layers, *HEAD), NEURON, parameters, "these tests")


NETWORKS = {
    spec.name: spec
    for spec in (
        network("plain", (Conv(6), Spike(NEURON), AvgPool(2, 2), Conv(8, standardised=True), Spike(FULL), Scale(2.74)), 661),
        network("dropout", (Conv(6), Spike(NEURON, 0.3), Conv(8), Spike(NEURON, 0.2)), 653),
        network("batch norm", (Conv(6, bias=False), BatchNorm(), Spike(NEURON), Conv(8), BatchNorm(), Spike(NEURON)), 675),
        network("residual", (Conv(6), Residual((Spike(NEURON),), (Conv(6), Spike(NEURON), Conv(6), Gain(1.0, 0.5)))), 864),
        network("feedback", (Loop((Conv(6),), (Spike(NEURON), Conv(8), Spike(NEURON)), (Conv(6),)),), 1091),
    )
}


def gradients(
    monkeypatch: pytest.MonkeyPatch, spec: NetworkSpec, algorithm: str, backend: str, T: int, **options: Any
) -> tuple[list[Tensor], list[Tensor], Tensor]:
    """Return gradients, buffers after the step, and outputs; weights, input and random numbers are the same for all calls."""
    support = backends.available(backend)
    if not support:
        pytest.skip(support.reason)
    monkeypatch.setattr("bench.zoo.spec", lambda _: spec)
    step = training_step(spec.name, algorithm, backend, **options)
    step.net.double()  # so that rounding is negligible
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in step.net.parameters():
            fan_in = max(parameter.shape[1:].numel(), 1) if parameter.dim() > 1 else 1
            parameter.copy_(
                torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * (1.5 * fan_in**-0.5)
                + (parameter.dim() < 2)
            )
    x = torch.randn(T, 4, 3, 8, 8, generator=generator, dtype=torch.float64)
    target = torch.tensor([0, 1, 2, 4])
    torch.manual_seed(11)
    out = step.gradients(x, target)
    return (
        [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in step.net.parameters()],
        [buffer.clone() for name, buffer in step.net.named_buffers() if "running" in name],
        out if isinstance(out, Tensor) else torch.zeros(()),
    )


def furthest(one: list[Tensor], other: list[Tensor]) -> float:
    """Return the largest relative difference of two gradients over parameters."""
    whole = torch.stack([g.norm() for g in one]).norm()
    return max(float((a - b).norm() / torch.maximum(a.norm(), 1e-3 * whole)) for a, b in zip(one, other, strict=True))


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize("backend", PLAIN)
@pytest.mark.parametrize("spec", NETWORKS.values(), ids=lambda spec: spec.name)
def test_checkpointing_equals_bptt_for_every_number_of_segments(
    monkeypatch: pytest.MonkeyPatch, spec: NetworkSpec, backend: str
) -> None:
    T = 7
    exact, buffers, _ = gradients(monkeypatch, spec, "bptt", backend, T)
    assert all(float(g.norm()) > 0 for g in exact if g.dim() > 1)  # every layer has a gradient
    for segments in range(1, T + 1):
        found, moved, _ = gradients(monkeypatch, spec, "checkpointed", backend, T, segments=segments)
        assert furthest(exact, found) < 1e-10, f"{segments} segments"
        for one, other in zip(buffers, moved, strict=True):
            torch.testing.assert_close(one, other)  # running averages of batch norm are updated once


@pytest.mark.parametrize("spec", NETWORKS.values(), ids=lambda spec: spec.name)
def test_checkpointing_with_falling_segments_equals_bptt(monkeypatch: pytest.MonkeyPatch, spec: NetworkSpec) -> None:
    exact, buffers, _ = gradients(monkeypatch, spec, "bptt", "native", 9)
    found, moved, _ = gradients(monkeypatch, spec, "checkpointed", "native", 9, lengths="falling")
    assert furthest(exact, found) < 1e-10
    for one, other in zip(buffers, moved, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("backend", PLAIN)
@pytest.mark.parametrize("name", ["plain", "dropout", "batch norm"])
def test_tbptt_is_bptt_for_K_T_and_sltt_for_K_1(monkeypatch: pytest.MonkeyPatch, name: str, backend: str) -> None:
    T, spec = 5, NETWORKS[name]
    exact, _, _ = gradients(monkeypatch, spec, "bptt", backend, T)
    assert furthest(exact, gradients(monkeypatch, spec, "tbptt", backend, T, K=T)[0]) < 1e-10
    between = gradients(monkeypatch, spec, "tbptt", backend, T, K=2)[0]
    assert furthest(exact, between) > 1e-3
    if backend != "spikingjelly-multistep":  # it does not run single steps
        step_by_step = gradients(monkeypatch, spec, "sltt", backend, T)[0]
        assert furthest(step_by_step, gradients(monkeypatch, spec, "tbptt", backend, T, K=1)[0]) < 1e-10
        assert furthest(step_by_step, between) > 1e-3


@pytest.mark.parametrize(("update", "expected"), [("end", 1), ("window", 3)])
def test_tbptt_updates_once_or_every_window(monkeypatch: pytest.MonkeyPatch, update: str, expected: int) -> None:
    monkeypatch.setattr("bench.zoo.spec", lambda _: NETWORKS["plain"])
    step = training_step("plain", "tbptt", "native", K=2, update=update)
    updates: list[int] = []
    step.forward_backward(torch.randn(5, 2, 3, 8, 8), torch.tensor([0, 1]), lambda: updates.append(1))
    assert len(updates) == expected


def test_edges_cover_every_step_once_and_differ_by_at_most_one() -> None:
    for T in range(1, 30):
        for C in range(1, T + 1):
            parts = edges(T, C)
            assert len(parts) == C
            assert [t for begin, end in parts for t in range(begin, end)] == list(range(T))
            lengths = [end - begin for begin, end in parts]
            assert max(lengths) - min(lengths) <= 1


def test_falling_edges_cover_every_step_and_need_about_equal_memory() -> None:
    for T in (1, 2, 7, 64, 500):
        for ratio in (0.4, 1.0, 3.3):
            parts = falling_edges(T, ratio)
            lengths = [end - begin for begin, end in parts]
            assert [t for begin, end in parts for t in range(begin, end)] == list(range(T))
            assert lengths == sorted(lengths, reverse=True)
            need = [i + length * ratio for i, length in enumerate(lengths)]
            even = [end - begin for begin, end in edges(T, best_segments(T, ratio))]
            assert max(need) <= max(i + length * ratio for i, length in enumerate(even)) + 1e-6
            assert all(n > max(need) - ratio - 1e-6 for n in need[:-1])  # except the last, which has the remaining steps


def test_falling_segments_need_less_memory_for_few_more_multiplications() -> None:
    T = 64

    def cost(**options: Any) -> Any:
        step = training_step("vgg-sws-small/cifar10", "checkpointed", "native", device="meta", **options)
        return cost_of(step, *batch_for(step, T, 32, "meta"))

    even, falling = cost(), cost(lengths="falling")
    assert falling.memory.total < 0.9 * even.memory.total
    assert sum(falling.macs.dense.values()) <= 1.02 * sum(even.macs.dense.values())


def test_checkpointing_rejects_segments_with_lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.zoo.spec", lambda _: NETWORKS["plain"])
    with pytest.raises(UserError, match="segments = 3 with lengths = falling"):
        training_step("plain", "checkpointed", "native", segments=3, lengths="falling")


@pytest.mark.parametrize("lengths", [[3, 1, 5], [1] * 9, [9], [2, 6, 1]])
def test_checkpointing_with_any_lengths_equals_bptt(monkeypatch: pytest.MonkeyPatch, lengths: list[int]) -> None:
    spec = NETWORKS["dropout"]
    exact, _, _ = gradients(monkeypatch, spec, "bptt", "native", 9)
    assert furthest(exact, gradients(monkeypatch, spec, "checkpointed", "native", 9, lengths=lengths)[0]) < 1e-10


@pytest.mark.parametrize(("lengths", "reason"), [([3, 4], "add up to 7, not T = 9"), ([10, -1], ">= 1"), ([0, 9], ">= 1")])
def test_checkpointing_rejects_lengths_that_do_not_cover_the_sequence(
    monkeypatch: pytest.MonkeyPatch, lengths: list[int], reason: str
) -> None:
    with pytest.raises(UserError, match=reason):
        gradients(monkeypatch, NETWORKS["plain"], "checkpointed", "native", 9, lengths=lengths)


@pytest.mark.parametrize(("T", "C"), [(4, 5), (4, -1)])
def test_edges_reject_invalid_numbers_of_segments(T: int, C: int) -> None:
    with pytest.raises(UserError, match=f"segments = {C} of T = {T}"):
        edges(T, C)


def test_best_segments_follow_the_square_root() -> None:
    assert best_segments(1, 5.0) == 1
    assert best_segments(12, 2.13) == 5  # 3, 3, 2, 2, 2: needs max(3 * 2.13 + 1, 2 * 2.13 + 4)
    for T in (64, 256, 1024):
        for ratio in (0.5, 1.0, 4.0):
            assert 0.6 < best_segments(T, ratio) / (T * ratio) ** 0.5 < 1.5


def peak(algorithm: str, T: int, **options: Any) -> int:
    step = training_step("vgg-sws/cifar10", algorithm, "native", device="meta", **options)
    return cost_of(step, *batch_for(step, T, 32, "meta")).memory.total


@pytest.mark.slow
def test_best_segments_have_the_least_peak() -> None:
    T = 12
    chosen = peak("checkpointed", T)
    peaks = [peak("checkpointed", T, segments=C) for C in range(1, T + 1)]
    assert chosen <= 1.02 * min(peaks)
    assert chosen < peak("bptt", T) / 2


def test_checkpointing_recomputes_all_segments_but_the_last() -> None:
    T, C = 6, 3

    def macs(algorithm: str, **options: Any) -> dict[str, int]:
        step = training_step("vgg-sws-small/cifar10", algorithm, "native", device="meta", **options)
        return cost_of(step, *batch_for(step, T, 2, "meta")).macs.dense

    once, twice = macs("bptt"), macs("checkpointed", segments=C)
    assert twice["forward"] == once["forward"]
    assert twice["recomputation"] * T == once["forward"] * (T - T // C)
    assert once["recomputation"] == 0
    assert twice["error to input"] == once["error to input"]
    assert twice["error to weight"] == once["error to weight"]


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize("backend", PLAIN)
@pytest.mark.parametrize("spec", NETWORKS.values(), ids=lambda spec: spec.name)
def test_skipper_with_p_0_is_checkpointing(monkeypatch: pytest.MonkeyPatch, spec: NetworkSpec, backend: str) -> None:
    T = 7
    for segments in (1, 2, 3):
        exact, buffers, _ = gradients(monkeypatch, spec, "checkpointed", backend, T, segments=segments)
        found, moved, _ = gradients(monkeypatch, spec, "skipper", backend, T, segments=segments, p=0)
        assert furthest(exact, found) < 1e-10
        for one, other in zip(buffers, moved, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("backend", PLAIN)
def test_skipper_equals_bptt_over_the_kept_steps(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    """With one segment, Skipper is BPTT of the sequence of kept steps."""
    T, spec = 8, NETWORKS["plain"]
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(T, 4, 3, 8, 8, generator=generator) * torch.linspace(0.3, 2, T)[torch.randperm(T, generator=generator)].view(
        -1, 1, 1, 1, 1
    )
    target = torch.tensor([0, 1, 2, 4])
    support = backends.available(backend)
    if not support:
        pytest.skip(support.reason)
    monkeypatch.setattr("bench.zoo.spec", lambda _: spec)
    skipping = training_step(spec.name, "skipper", backend, segments=1, p=50)
    with torch.no_grad(), activity(skipping.net) as spikes:
        skipping.net.window(x, None)
    kept = kept_steps(spikes(), [(0, T)], 2, Options(p=50))[0]
    assert len(kept) == T // 2
    assert float(spikes()[kept].min()) >= float(torch.cat([spikes()[t : t + 1] for t in range(T) if t not in kept]).max())
    skipping.gradients(x, target)
    plain = training_step(spec.name, "bptt", backend)
    loss = InstantaneousLoss(target, T)
    outs, _ = plain.net.window(x[kept], None)
    loss(outs).backward()
    assert furthest(_grads(plain.net), _grads(skipping.net)) < 2e-5
    again = training_step(spec.name, "skipper", backend, segments=1, p=50, loss="rescaled")
    again.gradients(x, target)
    assert furthest([2 * g for g in _grads(plain.net)], _grads(again.net)) < 2e-5


def _grads(net: Any) -> list[Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad for p in net.parameters()]


def test_kept_steps_are_the_most_active_ones_of_each_segment() -> None:
    spikes = torch.tensor([5.0, 1.0, 4.0, 4.0, 9.0, 0.0, 2.0, 2.0])
    parts = [(0, 4), (4, 8)]
    assert kept_steps(spikes, parts, 1, Options(p=50)) == [[0, 2], [4, 6]]  # of equally active steps the earlier
    assert kept_steps(spikes, parts, 1, Options(p=60)) == [[0, 2], [4, 6]]  # ceil(0.4 * 4) = 2
    assert kept_steps(spikes, parts, 1, Options(p=75)) == [[0], [4]]
    assert kept_steps(spikes, parts, 1, Options(p=0)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert kept_steps(spikes, parts, 1, Options(p=50, per="sequence")) == [[0, 2, 3], [4]]
    assert kept_steps(spikes, parts, 2, Options(p=50, per="sequence")) == [[0, 2, 3], [4, 6]]  # two layers: two steps at least
    assert [len(steps) for steps in kept_steps(spikes.to("meta"), parts, 1, Options(p=50))] == [2, 2]


def test_kept_steps_can_always_include_the_last_of_a_segment() -> None:
    spikes = torch.tensor([5.0, 1.0, 4.0, 0.0, 9.0, 3.0, 2.0, 2.0])
    parts = [(0, 4), (4, 8)]
    assert kept_steps(spikes, parts, 1, Options(p=50)) == [[0, 2], [4, 5]]
    assert kept_steps(spikes, parts, 1, Options(p=50, last="kept")) == [[0, 3], [4, 7]]
    assert kept_steps(spikes, parts, 1, Options(p=75, last="kept")) == [[3], [7]]


@pytest.mark.parametrize("name", ["plain", "dropout", "residual", "feedback"])
def test_skipped_steps_leak_or_freeze_the_state(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A skipped step with leak is a step without input current: the state decays and nothing fires."""
    spec = NETWORKS[name]
    monkeypatch.setattr("bench.zoo.spec", lambda _: spec)
    net: Any = training_step(spec.name, "bptt", "native").net
    with torch.no_grad():
        _, state = net.window(torch.randn(3, 2, 3, 8, 8), None)
        before = [tensor.clone() for tensor in state_tensors(state)]
        after = list(state_tensors(leak(net.body, state, 2)))
    decayed = [torch.allclose(b, 0.49 * a) for a, b in zip(before, after, strict=True)]
    same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert sum(decayed) == len(net.neurons()) > 0
    assert all(d != s for d, s in zip(decayed, same, strict=True))  # masks and outputs do not change


def test_skipped_leak_and_frozen_give_different_gradients_if_steps_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = NETWORKS["plain"]

    def found(p: float, skipped: str) -> list[Tensor]:
        return gradients(monkeypatch, spec, "skipper", "native", 8, segments=2, p=p, skipped=skipped)[0]

    assert furthest(found(0, "frozen"), found(0, "leak")) < 1e-12
    assert furthest(found(50, "frozen"), found(50, "leak")) > 1e-3


def test_skipper_rejects_p_over_the_bound_and_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.zoo.spec", lambda _: NETWORKS["plain"])
    step = training_step("plain", "skipper", "native", segments=2, p=51)
    x, target = torch.randn(8, 2, 3, 8, 8), torch.tensor([0, 1])
    with pytest.raises(UserError, match=r"p = 51 is over the bound 50 = 100 \(1 - 2 layers of neurons / 4 steps"):
        step.gradients(x, target)
    training_step("plain", "skipper", "native", segments=2, p=50).gradients(x, target)
    with pytest.raises(UserError, match="p = 100"):
        training_step("plain", "skipper", "native", p=100)


def test_skipper_macs_are_those_of_its_two_passes() -> None:
    """T forward steps in the first pass, (1 - p) T forward and backward steps in the second."""
    T = 8

    def macs(algorithm: str, **options: Any) -> dict[str, int]:
        step = training_step("vgg-sws-small/cifar10", algorithm, "native", device="meta", **options)
        return cost_of(step, *batch_for(step, T, 2, "meta")).macs.dense

    whole, skipped = macs("bptt"), macs("skipper", segments=1, p=50)
    assert skipped["forward"] == whole["forward"]
    assert skipped["recomputation"] * 2 == whole["forward"]
    assert skipped["error to weight"] * 2 == whole["error to weight"]
    assert peak("skipper", 12, segments=1, p=25) < peak("checkpointed", 12, segments=1)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["lenet/dvs-gesture", "custom/n-mnist"])
def test_checkpointing_memory_grows_as_the_square_root_of_T(network: str) -> None:
    """The slope of log(bytes that depend on batch and T) over log T, with the best number of even segments."""
    lengths = (64, 256, 1024)
    heights = []
    for T in lengths:
        step = training_step(network, "checkpointed", "native", device="meta")
        peak = cost_of(step, *batch_for(step, T, 16, "meta")).memory
        given = ("parameters", "gradients", "optimizer state", "inputs")
        heights.append(math.log(peak.total - sum(peak.by_category[name] for name in given)))
    slope = (heights[-1] - heights[0]) / math.log(lengths[-1] / lengths[0])
    print(f"{network}: peak grows as T^{slope:.3f}")
    assert 0.45 < slope < 0.55
