"""Peak live bytes: known answers, constant or affine in T as declared, equal on device 'meta' and on real tensors.

Tests of all algorithms go through the registry (tests/registered.py).
"""

from __future__ import annotations

import importlib
import itertools
from functools import cache
from typing import Any

import pytest
import torch

from bench import backends, zoo
from bench.counting import operators
from bench.counting.memory import CATEGORIES, LiveBytes, Peak
from bench.counting.step import batch_for, cost_of
from bench.counting.tape import watching
from bench.registry import ALGORITHMS
from bench.training_step import support, training_step
from bench.zoo.beyond_lif import NETWORKS as BEYOND_LIF
from tests.registered import shortest, supported

PAPER = "vgg-sws/cifar10"
SMALL = "vgg-sws-small/cifar10"
DENSE = "otpe-3x128/randman-k25"  # for algorithms of dense layers alone


@cache
def peak(network: str, algorithm: str, T: int, batch: int, backend: str = "native", device: str = "meta") -> Peak:
    torch.manual_seed(0)  # SLTT-K draws its steps
    step = training_step(network, algorithm, backend, device=device)
    return cost_of(step, *batch_for(step, T, batch, device)).memory


def differences(points: dict[int, int]) -> list[tuple[int, int]]:
    """Return (difference of the argument, difference of the value) between neighbours."""
    at = sorted(points)
    return [(b - a, points[b] - points[a]) for a, b in itertools.pairwise(at)]


def assert_affine(points: dict[int, int]) -> None:
    """Assert in integer arithmetic that all points lie exactly on the line through the first two, and that it rises."""
    (dx, dy), *rest = differences(points)
    assert dy > 0
    for more_x, more_y in rest:
        assert more_y * dx == dy * more_x


# --------------------------------------------------------------------------- against T and batch, at the paper's size


@pytest.mark.sampled(every=2)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_peak_grows_with_T_or_is_constant_as_declared(algorithm):
    """With the default options, for lengths that a window of two steps divides."""
    network = next(name for name in (SMALL, DENSE) if support(name, algorithm, "native"))
    peaks = [peak(network, algorithm, T, 128) for T in (16, 30)]
    sixteen, thirty = (found.total - found.by_category["inputs"] for found in peaks)  # a sequence of frames grows itself
    assert (sixteen == thirty) is (ALGORITHMS[algorithm].memory == "constant in T")
    assert sixteen <= thirty


@pytest.mark.parametrize("algorithm", ["ottt-a", "ottt-o", "sltt", "sltt-k"])
def test_online_algorithms_need_no_byte_more_after_two_steps(algorithm):
    two, thirty = peak(PAPER, algorithm, 2, 128), peak(PAPER, algorithm, 30, 128)
    assert thirty.total == two.total
    if algorithm != "sltt-k":  # its random steps decide whether the first output is saved for backward
        assert thirty.by_category == two.by_category


def test_bptt_peak_is_exactly_affine_in_T():
    assert_affine({T: peak(PAPER, "bptt", T, 128).total for T in (2, 3, 6, 15, 30)})


def test_bptt_peak_per_step_by_hand():
    """Tensors that VGG (sWS) saves per additional step, in values of 4 bytes for each of 128 samples.

    The peak is where the backward pass reaches the last layer of neurons: later layers are freed by then.
    """
    maps = [64 * 32 * 32, 128 * 32 * 32, *[256 * 16 * 16] * 2, *[512 * 8 * 8] * 2, *[512 * 4 * 4] * 2]
    potentials = sum(maps)
    image, outputs = 3 * 32 * 32, 10
    pools_read = maps[1] + maps[3] + maps[5]
    convolutions_read = image + maps[0] + maps[1] // 4 + maps[2] + maps[3] // 4 + maps[4] + maps[5] // 4 + maps[6]
    in_flight = 2 * maps[7]  # error at the last layer's spikes, and at its potentials
    six, seven = peak(PAPER, "bptt", 6, 128), peak(PAPER, "bptt", 7, 128)
    kept = seven.by_category["saved for backward"] - six.by_category["saved for backward"]
    assert kept == 4 * 128 * (potentials + pools_read + convolutions_read + outputs)
    assert seven.total - six.total == kept + 4 * 128 * in_flight


def test_bptt_peak_is_piecewise_affine_in_the_batch_size():
    """The peak is the larger of two lines: for small batches it is where weight gradients are computed, for large ones before."""
    small, large = (4, 8, 16, 32), (96, 128, 192, 256)
    assert_affine({batch: peak(PAPER, "bptt", 3, batch).total for batch in small})
    assert_affine({batch: peak(PAPER, "bptt", 3, batch).total for batch in large})
    slopes = [dy / dx for dx, dy in differences({b: peak(PAPER, "bptt", 3, b).total for b in (*small, *large)})]
    assert slopes == sorted(slopes)


@pytest.mark.parametrize(
    ("algorithm", "batches"),
    [("sltt", (192, 256, 320, 512)), ("ottt-a", (192, 256, 320, 512)), ("ottt-o", (16, 32, 96, 128))],
)
def test_online_peaks_are_affine_in_the_batch_size(algorithm, batches):
    """For batch sizes whose peak is at the same place of the step."""
    assert_affine({batch: peak(PAPER, algorithm, 3, batch).total for batch in batches})


def test_peaks_of_algorithms_are_ordered():
    """SLTT has no traces, OTTT has them; BPTT saves every step."""
    sltt, ottt, bptt = (peak(PAPER, name, 6, 128).total for name in ("sltt", "ottt-a", "bptt"))
    assert sltt < ottt < bptt
    traces = 64 * 32 * 32 + 128 * 16 * 16 + 256 * 16 * 16 + 256 * 8 * 8 + 512 * 8 * 8 + 512 * 4 * 4 + 512 * 4 * 4 + 512
    assert peak(PAPER, "ottt-a", 6, 128).by_category["state"] - peak(PAPER, "sltt", 6, 128).by_category["state"] == (
        4 * 128 * traces
    )


# --------------------------------------------------------------------------- without storage = with storage


@cache
def fused(neuron: str) -> Any:
    """SpikingJelly's fused operator on real CPU tensors: its CPU kernels with its autograd rule."""
    ops = importlib.import_module(f"spikingjelly._ops.{neuron}")
    namespace = f"test_{neuron.strip('_')}"
    for direction in ("forward", "backward"):
        kernel = getattr(ops.cpu, f"_{direction}_impl")
        torch.library.custom_op(f"{namespace}::{direction}", kernel, mutates_args=(), device_types="cpu")
    ops.autograd._register_ops(f"{namespace}::forward", f"{namespace}::backward")
    return getattr(torch.ops, namespace).forward.default


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Make the CPU use SpikingJelly's fused operator, as device 'meta' and a GPU do: one forward and one backward kernel.

    On a CPU the framework normally uses a chain of plain operators, which has other storages.
    """
    if backends.available("spikingjelly"):
        for neuron in ("lif", "if_", "plif"):
            importlib.import_module(f"spikingjelly._ops.{neuron}.autograd")
            monkeypatch.setattr(f"spikingjelly._ops.{neuron}._forward", fused(neuron))
        monkeypatch.setattr(operators, "LIBRARIES", operators.LIBRARIES | {"test_lif", "test_if", "test_plif"})


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize(("algorithm", "backend"), supported(SMALL))
def test_peak_on_meta_equals_real_tensors(algorithm, backend, as_on_a_gpu):
    available = backends.available(backend)
    if not available:
        pytest.skip(available.reason)
    T = shortest(algorithm, zoo.spec(SMALL), backend=backend)
    fake, real = (peak(SMALL, algorithm, T, 2, backend, device) for device in ("meta", "cpu"))
    assert (fake.total, fake.by_category) == (real.total, real.by_category)


@pytest.mark.parametrize(
    ("network", "algorithm", "backend", "options"),
    [
        ("resnet20/cifar10", "bptt", "spikingjelly-memopt", {"level": 0}),
        ("resnet20/cifar10", "bptt", "spikingjelly-memopt", {"level": 1}),
        ("resnet20/cifar10", "bptt", "spikingjelly-multistep", {}),
        ("lenet/dvs-gesture", "bptt", "spikingjelly-memopt", {"level": 1}),
        ("lenet/dvs-gesture", "tbptt", "snntorch-shipped", {"K": 2}),
        ("custom/n-mnist", "tbptt", "snntorch-shipped", {"K": 3}),
    ],
)
def test_peak_on_meta_equals_real_tensors_for_shipped_implementations(network, algorithm, backend, options, as_on_a_gpu):
    available = backends.available(backend)
    if not available:
        pytest.skip(available.reason)

    def found(device: str) -> Peak:
        step = training_step(network, algorithm, backend, device=device, **options)
        return cost_of(step, *batch_for(step, 3, 2, device)).memory

    fake, real = found("meta"), found("cpu")
    assert (fake.total, fake.by_category) == (real.total, real.by_category)


@pytest.mark.parametrize("algorithm", ["bptt", "ottt-a", "ottt-o", "sltt", "sltt-k"])
def test_peak_on_meta_equals_real_tensors_at_the_papers_width(algorithm):
    fake, real = peak(PAPER, algorithm, 2, 2), peak(PAPER, algorithm, 2, 2, device="cpu")
    assert (fake.total, fake.by_category) == (real.total, real.by_category)


@pytest.mark.parametrize(
    ("network", "algorithm"),
    [
        ("r400/fashion-mnist", "bptt"),
        ("r400/fashion-mnist", "ottt-a"),
        ("vgg11-bn/cifar10-dvs", "bptt"),
        ("vgg-f/cifar100", "ottt-a"),
        *[(spec.name, "bptt") for spec in BEYOND_LIF],
        ("plif/n-mnist", "sltt"),
        ("synaptic/n-mnist", "checkpointed"),
        ("refractory/n-mnist", "checkpointed"),
        ("norms/n-mnist", "local"),
        ("spikformer/n-mnist", "ottt-a"),
    ],
)
def test_peak_on_meta_equals_real_tensors_for_other_networks(network, algorithm):
    fake, real = peak(network, algorithm, 2, 2), peak(network, algorithm, 2, 2, device="cpu")
    assert (fake.total, fake.by_category) == (real.total, real.by_category)


@pytest.mark.parametrize(
    ("network", "backend"),
    [
        *[("plif/n-mnist", name) for name in ("native-fast", "spikingjelly", "spikingjelly-multistep")],
        ("plif-clamped/n-mnist", "snntorch"),
        *[("synaptic/n-mnist", name) for name in ("native-small", "spikingjelly", "spikingjelly-multistep", "snntorch")],
        ("alif/n-mnist", "native-fast"),
        ("refractory/n-mnist", "native-small"),
        ("spikformer/n-mnist", "native-balanced"),
        ("spikformer/n-mnist", "spikingjelly-multistep"),
    ],
)
def test_peak_on_meta_equals_real_tensors_beyond_lif_on_other_backends(network, backend, as_on_a_gpu):
    available = backends.available(backend)
    if not available:
        pytest.skip(available.reason)
    fake, real = (peak(network, "bptt", 3, 2, backend, device) for device in ("meta", "cpu"))
    assert (fake.total, fake.by_category) == (real.total, real.by_category)


# --------------------------------------------------------------------------- categories


@pytest.mark.sampled(every=4)
@pytest.mark.parametrize(("algorithm", "backend"), supported(SMALL))
def test_categories_sum_to_the_total(algorithm, backend):
    available = backends.available(backend)
    if not available:
        pytest.skip(available.reason)
    T, batch = shortest(algorithm, zoo.spec(SMALL), backend=backend), 128
    got = peak(SMALL, algorithm, T, batch, backend)
    assert sum(got.by_category.values()) == got.total
    assert set(got.by_category) == set(CATEGORIES)
    net = training_step(SMALL, algorithm, backend, device="meta").net
    assert got.by_category["parameters"] == sum(tensor.nbytes for tensor in (*net.parameters(), *net.buffers()))
    assert got.by_category["optimizer state"] == 4 * sum(map(torch.numel, net.parameters()))  # SGD's momentum
    assert got.by_category["inputs"] == 4 * batch * 3 * 32 * 32 + 8 * batch
    assert got.operator


def test_input_bytes_are_per_step_for_frames_and_once_for_images():
    assert peak("vgg-sws/cifar10-dvs", "sltt", 5, 2).by_category["inputs"] == 5 * 2 * 2 * 48 * 48 * 4 + 2 * 8
    assert peak(PAPER, "sltt", 5, 2).by_category["inputs"] == 2 * 3 * 32 * 32 * 4 + 2 * 8


# --------------------------------------------------------------------------- known answers


def test_storage_has_the_first_of_its_categories():
    live = LiveBytes()
    with watching(live):
        buffer = torch.empty(10)
        other = torch.empty(5)
    live.mark([buffer], "saved for backward")
    live.mark([buffer], "gradients")
    peak = live.peak()
    assert other.numel() == 5
    assert (peak.by_category["gradients"], peak.by_category["saved for backward"]) == (40, 0)
    assert peak.by_category["temporary"] == 20


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_saved_for_backward_by_hand(device):
    """y = sigmoid(w x): autograd saves x for the gradient of w, and the output of sigmoid, but not w x."""
    w = torch.empty(1, device=device, requires_grad=True)
    x = torch.empty(100, device=device)
    live = LiveBytes()
    live.mark([w], "parameters")
    live.mark([x], "inputs")
    with watching(live):
        y = torch.sigmoid(w * x)
        y.sum().backward()
    peak = live.peak()
    assert peak.by_category["parameters"] == 4
    assert peak.by_category["inputs"] == 400
    assert peak.by_category["saved for backward"] == 400
    assert sum(peak.by_category.values()) == peak.total


class KeepsItsOutput(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        out = x + 1
        ctx.save_for_backward(out)
        return out

    @staticmethod
    def backward(ctx, g):
        return g


def test_tape_keeps_no_output_of_a_custom_function_alive():
    """Without a backward pass it is freed with its last reference, as without a tape."""
    live = LiveBytes()
    x = torch.empty(10, requires_grad=True)
    with watching(live):
        for _ in range(5):
            out = KeepsItsOutput.apply(x).detach()
            del out
    assert live.peak().total == 40


def test_live_bytes_distinguish_storages_at_the_same_address():
    """Addresses are reused as soon as a storage is freed; sizes must not be mixed up."""
    live = LiveBytes()
    with watching(live):
        for n in (10, 1000, 10, 500):
            t = torch.empty(n, dtype=torch.uint8)
            del t
    assert live.peak().total == 1000


def test_live_bytes_are_not_counted_after_the_block():
    live = LiveBytes()
    with watching(live):
        a = torch.empty(10)
    after = torch.empty(100)
    assert a.numel() + after.numel() == 110
    assert live.peak().total == 40


def test_cost_of_leaves_no_hooks_and_changes_no_weights_before_the_step():
    step = training_step(SMALL, "bptt", "native", lr=0.0)
    before = [p.detach().clone() for p in step.net.parameters()]
    cost_of(step, *batch_for(step, 2, 2, "cpu"))
    assert all(torch.equal(a, b) for a, b in zip(before, step.net.parameters(), strict=True))
    assert all(not m._forward_hooks for m in step.net.modules())
    assert [group["lr"] for group in step.optimizer.param_groups] == [0.0]
