"""OSTL and OTPE: what is stored, and networks without their equations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench import backends, zoo
from bench.algorithms.dense_traces import TracedLayer
from bench.counting.step import batch_for, cost_of
from bench.errors import UserError
from bench.nets.layers import state_tensors
from bench.spec import BatchNorm, Conv, Dense, Flatten, Layer, Loop, NetworkSpec, NeuronSpec, Spike
from bench.training_step import support, training_step
from tests.unit.dense_networks import FAST, RULES, SMOOTH, dense, drawn


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


@pytest.mark.slow
@pytest.mark.parametrize(("network", "T"), [("otpe-3x128/randman-k25", 75), ("otpe-3x256/randman-k10", 127)])
def test_otpe_needs_more_memory_than_bptt_for_short_sequences(network: str, T: int) -> None:
    assert peak(network, "otpe", T - 1) > peak(network, "bptt", T - 1)
    assert peak(network, "otpe", T) <= peak(network, "bptt", T)
    assert peak(network, "approximate-otpe", 50) < peak(network, "bptt", 50) / 5


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
