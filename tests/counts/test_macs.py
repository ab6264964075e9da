"""Multiply-accumulates: compared with counts by hand, by fvcore and by torch's counter; order of the algorithms."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench import backends, zoo
from bench.counting.macs import ROLES, Macs
from bench.counting.step import batch_for, cost_of
from bench.counting.tape import watching
from bench.nets.build import build
from bench.probes.count import forward_macs
from bench.registry import ALGORITHMS
from bench.spec import AdaptiveAvgPool, Attention, AvgPool, Conv, Dense, Flatten, NetworkSpec, NeuronSpec, Scale, Spike
from bench.training_step import TrainingStep, support, training_step
from bench.zoo.beyond_lif import NETWORKS as BEYOND_LIF
from tests.registered import PLAIN, shortest, supported

PAPER = "vgg-sws/cifar10"
SMALL = "vgg-sws-small/cifar10"

# [2, 8, 8] image -> conv to 3 -> LIF -> x2 -> conv to 4, stride 2 -> LIF -> 4x4 mean -> dense to 5
TINY = NetworkSpec(
    name="tiny",
    input=(2, 8, 8),
    classes=5,
    layers=(
        Conv(3), Spike(NeuronSpec()), Scale(2.0),
        Conv(4, stride=2, standardised=True), Spike(NeuronSpec()), AvgPool(4, 4), Flatten(), Dense(5),
    ),
    neuron=NeuronSpec(),
    parameters=(3 * 2 * 9 + 3) + (4 * 3 * 9 + 4 + 4) + (5 * 4 + 5),
    source="this test",
)  # fmt: skip
DENSE = "otpe-3x128/randman-k25"  # for algorithms of dense layers alone
FIRST = 3 * 8 * 8 * (2 * 3 * 3)  #  outputs x products of each: 3456
SECOND = 4 * 4 * 4 * (3 * 3 * 3)  # 1728
READOUT = 5 * 4  #                   20


@pytest.fixture
def tiny(monkeypatch):
    """``tiny(algorithm, backend)``: a training step of the tiny net."""
    real = zoo.spec
    monkeypatch.setattr(zoo, "spec", lambda name: TINY if name == "tiny" else real(name))

    def ready(algorithm: str, backend: str = "native", device: str = "meta", **options) -> TrainingStep:
        possible = support("tiny", algorithm, backend)
        if not possible:
            pytest.skip(possible.reason)
        return training_step("tiny", algorithm, backend, device=device, **options)

    return ready


def macs_of(step: TrainingStep, T: int, batch: int, device: str = "meta") -> Macs:
    return cost_of(step, *batch_for(step, T, batch, device)).macs


@cache
def paper(algorithm: str, backend: str = "native", T: int = 6, batch: int = 128) -> Macs:
    return macs_of(training_step(PAPER, algorithm, backend, device="meta"), T, batch)


# --------------------------------------------------------------------------- hand counts


def test_forward_by_hand_by_fvcore_and_by_operators():
    net = build(TINY, backends.load("native"))
    net.reset_parameters(0)
    by_fvcore = forward_macs(net)
    assert by_fvcore == {"conv": FIRST + SECOND, "linear": READOUT}
    assert sum(forward_macs(net, batch=3).values()) == 3 * 5204
    ours = Macs(net.parameters())
    with torch.no_grad(), watching(ours):
        net.step(torch.zeros(1, *TINY.input), None)
    assert ours.dense == {"forward": 3456 + 1728 + 20, "recomputation": 0, "error to input": 0, "error to weight": 0}


@pytest.mark.parametrize("algorithm", ["bptt", "ottt-a", "ottt-o", "sltt"])
@pytest.mark.parametrize("backend", PLAIN)
def test_training_step_by_hand(tiny, algorithm, backend):
    """The image needs no error; each weight gradient has as many products as the forward pass."""
    T, batch = 3, 2
    got = macs_of(tiny(algorithm, backend), T, batch)
    assert got.dense == {
        "forward": T * batch * (FIRST + SECOND + READOUT),
        "recomputation": 0,
        "error to input": T * batch * (SECOND + READOUT),
        "error to weight": T * batch * (FIRST + SECOND + READOUT),
    }


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_multiplications_by_hand_bptt(tiny, device):
    """The second convolution reads spikes times a constant: its forward pass and weight gradient are additions.

    The image and pooled spikes are real numbers: products that read them are multiplications.
    """
    T, batch = 3, 2
    got = macs_of(tiny("bptt", device=device), T, batch, device)
    assert got.multiplications == {
        "forward": T * batch * (FIRST + READOUT),
        "recomputation": 0,
        "error to input": T * batch * (SECOND + READOUT),
        "error to weight": T * batch * (FIRST + READOUT),
    }


def test_multiplications_by_hand_ottt(tiny):
    """A trace is a real number: its products with the error are multiplications, except at the first step of a sample."""
    T, batch = 3, 2
    got = macs_of(tiny("ottt-a"), T, batch)
    assert got.multiplications["forward"] == T * batch * (FIRST + READOUT)
    assert got.multiplications["error to input"] == T * batch * (SECOND + READOUT)
    assert got.multiplications["error to weight"] == batch * (T * (FIRST + READOUT) + (T - 1) * SECOND)


def test_sltt_k_macs_include_backward_at_k_steps_only(tiny):
    T, batch, k = 5, 2, 2
    got = macs_of(tiny("sltt-k", k=k), T, batch)
    assert got.dense == {
        "forward": T * batch * (FIRST + SECOND + READOUT),
        "recomputation": 0,
        "error to input": k * batch * (SECOND + READOUT),
        "error to weight": k * batch * (FIRST + SECOND + READOUT),
    }


@pytest.mark.parametrize("algorithm", ["ottt-a", "sltt"])
def test_macs_of_spikingjelly_shipped_by_hand(tiny, algorithm):
    """For OTTT it runs each synapse but the first twice: on the spikes for the value, on the trace for the gradient."""
    T, batch = 3, 2
    got = macs_of(tiny(algorithm, "spikingjelly-shipped"), T, batch)
    again = SECOND + READOUT if algorithm == "ottt-a" else 0
    assert got.dense["forward"] == T * batch * (FIRST + SECOND + READOUT + again)
    assert got.dense["error to weight"] == T * batch * (FIRST + SECOND + READOUT)


# --------------------------------------------------------------------------- other counters


@pytest.mark.parametrize("network", [PAPER, "r400/fashion-mnist"])
def test_forward_macs_of_networks_equal_fvcore(network):
    net = build(zoo.spec(network), backends.load("native"))
    net.reset_parameters(0)
    ours = Macs(net.parameters())
    with torch.no_grad(), watching(ours):
        net.step(torch.zeros(1, *net.spec.input), None)
    assert ours.dense["forward"] == sum(forward_macs(net).values()) > 0


def test_forward_macs_of_vgg_by_hand():
    """9 products per pair of channels and output pixel; maps of 32, 32, 16, 16, 8, 8, 4, 4 squared."""
    by_hand = 9 * (1024 * (3 * 64 + 64 * 128) + 256 * (128 * 256 + 256 * 256) + 64 * (256 * 512 + 512 * 512) + 16 * 2 * 512 * 512)
    got = paper("bptt", T=1, batch=1)
    assert got.dense["forward"] == by_hand + 512 * 10


class Nowhere(nullcontext):
    """In place of the counter's split by module, which stops at a module that is run again within the backward pass."""

    parents = frozenset({"Global"})


BEYOND = [
    (spec.name, algorithm, "native")
    for spec in BEYOND_LIF
    for algorithm in (("bptt",) if spec.name.startswith("spikformer") else ("bptt", "checkpointed", "local"))
    if support(spec.name, algorithm, "native")
]


@pytest.mark.sampled(every=4)
@pytest.mark.parametrize(("network", "algorithm", "backend"), [*[(SMALL, *pair) for pair in supported(SMALL)], *BEYOND])
def test_training_step_equals_torchs_flop_counter(network, algorithm, backend):
    available = backends.available(backend)
    if not available:
        pytest.skip(available.reason)
    step = training_step(network, algorithm, backend, device="meta")
    x, target = batch_for(step, shortest(algorithm, zoo.spec(network), backend=backend), 2, "meta")
    counter = FlopCounterMode(display=False)
    counter.mod_tracker = Nowhere()
    with counter:
        step.run(x, target)
    assert 2 * sum(cost_of(step, x, target).macs.dense.values()) == counter.get_total_flops() > 0


def test_attention_products_by_hand(monkeypatch):
    """q k^T and (q k^T) v: 64 x 64 places, 16 channels. q, k, v are spikes, so forward all are additions.

    Backward, of two products each: one for q or k with a binary factor, the gradients of q k^T and of v; only the latter has no
    binary factor. No gradient of a weight among them.
    """
    project = (Conv(16, 1, padding=0, bias=False), Spike(NeuronSpec()))
    layers = (*project, Attention(project, project, project, heads=4), AdaptiveAvgPool(1), Flatten(), Dense(3))
    spec = NetworkSpec("attention", (2, 8, 8), 3, layers, NeuronSpec(), 32 + 3 * 256 + 51, "this test")
    monkeypatch.setattr(zoo, "spec", lambda name: spec)
    product, convolutions, readout = 64 * 64 * 16, 64 * (2 * 16 + 3 * 16 * 16), 3 * 16
    macs = macs_of(training_step("attention", "bptt", "native", device="meta"), 1, 2)
    assert macs.dense == {
        "forward": 2 * (2 * product + convolutions + readout),
        "recomputation": 0,
        "error to input": 2 * (4 * product + 64 * 3 * 16 * 16 + readout),
        "error to weight": 2 * (convolutions + readout),
    }
    assert macs.multiplications == {
        "forward": 2 * (64 * 2 * 16 + readout),
        "recomputation": 0,
        "error to input": 2 * (product + 64 * 3 * 16 * 16 + readout),
        "error to weight": 2 * (64 * 2 * 16 + readout),
    }


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_multiplications_are_at_most_the_dense_count(tiny, algorithm):
    network = next(name for name in ("tiny", DENSE) if support(name, algorithm, "native"))
    step = training_step(network, algorithm, "native", device="meta")
    got = macs_of(step, shortest(algorithm, zoo.spec(network)), batch=2)
    for role in ROLES:
        assert got.multiplications[role] <= got.dense[role]
    for role in set(ROLES) - {"recomputation"}:
        assert got.multiplications[role] > 0
    assert sum(got.multiplications.values()) < sum(got.dense.values())


# --------------------------------------------------------------------------- at the paper's size


@pytest.mark.parametrize("algorithm", ["ottt-a", "ottt-o", "sltt"])
def test_native_online_algorithms_multiply_as_often_as_bptt_and_recompute_nothing(algorithm):
    assert paper(algorithm).dense == paper("bptt").dense
    assert paper("bptt").dense["recomputation"] == 0


def test_ottt_of_spikingjelly_shipped_has_more_multiplications():
    possible = support(PAPER, "ottt-a", "spikingjelly-shipped")
    if not possible:
        pytest.skip(possible.reason)
    shipped, native = paper("ottt-a", "spikingjelly-shipped").dense, paper("ottt-a").dense
    assert shipped["forward"] > 1.9 * native["forward"]
    assert sum(shipped.values()) > 1.2 * sum(native.values())


def test_macs_are_proportional_to_batch_and_steps():
    one, more = paper("bptt", T=1, batch=1).dense, paper("bptt", T=6, batch=128).dense
    assert {role: 6 * 128 * n for role, n in one.items()} == more


# --------------------------------------------------------------------------- what counts as spikes


def spikes_of(f) -> tuple[int, int]:
    """Return (dense, multiplications) of a matrix product with f(binary spikes) as its left factor."""
    macs = Macs([])
    s = torch.ones(4, 6)
    macs.mark_spikes([s])
    with watching(macs):
        f(s).reshape(4, 6) @ torch.ones(6, 3)
    return macs.dense["forward"], macs.multiplications["forward"]


@pytest.mark.parametrize(
    "f",
    [
        lambda s: s, lambda s: 2.74 * s, lambda s: s * 2 / 3, lambda s: s.clone(), lambda s: torch.stack([s[:2], s[2:]]),
        lambda s: torch.cat([s[2:], s[:2]]), lambda s: s.detach().view(2, 12), lambda s: s.t().contiguous().t(),
        lambda s: s.mul_(2.74),
    ],
    ids=["spikes", "scaled", "scaled twice", "copied", "stacked", "joined", "viewed", "transposed", "scaled in place"],
)  # fmt: skip
def test_spikes_are_tracked_through_views_copies_and_constants(f):
    assert spikes_of(f) == (72, 0)


@pytest.mark.parametrize(
    "f",
    [
        lambda s: s + s, lambda s: s * torch.full((4, 6), 0.5), lambda s: s.cumsum(0), lambda s: s + 1,
        lambda s: torch.cat([s[:2], torch.rand(2, 6)]), lambda s: (s * 0.5).add_(s),
    ],
    ids=["summed", "times real numbers", "accumulated", "shifted", "joined with real numbers", "a trace"],
)  # fmt: skip
def test_real_numbers_computed_from_spikes_are_not_spikes(f):
    assert spikes_of(f) == (72, 72)


def test_freed_spikes_are_no_longer_marked():
    macs = Macs([])
    s = torch.ones(1000)
    macs.mark_spikes([s])
    del s
    assert not macs._spikes


def test_products_by_role():
    """sum of (x w)^2: one product forward, one for the error to the input, one for the error to the weight."""
    w, x = torch.ones(6, 3, requires_grad=True), torch.ones(4, 6, requires_grad=True)
    macs = Macs([w])
    with watching(macs):
        (x @ w).square().sum().backward()
    assert macs.dense == {"forward": 72, "recomputation": 0, "error to input": 72, "error to weight": 72}
    macs = Macs([w])
    with watching(macs):
        (x.detach() @ w).square().sum().backward()
    assert macs.dense == {"forward": 72, "recomputation": 0, "error to input": 0, "error to weight": 72}
