"""Memory of local training and TTL-BPTT at the papers' sizes: the graph of each block is freed before the next block runs.

The peak of a step is the maximum, over windows w and blocks i, of  outside(w, i) + own(w, i):

    outside = parameters + optimizer state + inputs + running sum of outputs
              + gradients and states of other blocks + input spikes of block i      by hand, from shapes
    own     = increase of live bytes while block i runs alone on its own tensors    measured separately
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise, product
from math import prod
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import backends, zoo
from bench.algorithms import blocks
from bench.counting.step import batch_for, cost_of
from bench.counting.tape import watching
from bench.counting.timeline import Moment, Timeline, held_tensors, timeline_of
from bench.losses import InstantaneousLoss
from bench.nets.layers import state_tensors
from bench.nets.shapes import chain_shape
from bench.training_step import TrainingStep, training_step
from tests import sampling
from tests.registered import PLAIN

SMALL, ALEXNET, RESIDUAL = "ttl-small/n-mnist", "alexnet/cifar10-dvs-42", "resnet20/cifar10"


def made(network: str, algorithm: str, backend: str = "native", **options: Any) -> TrainingStep:
    support = backends.available(backend)
    if not support:
        pytest.skip(support.reason)
    return training_step(network, algorithm, backend, device="meta", **options)


@cache
def peak(network: str, algorithm: str, T: int, batch: int, backend: str = "native", **options: Any) -> int:
    step = made(network, algorithm, backend, **options)
    return cost_of(step, *batch_for(step, T, batch, "meta")).memory.total


def size(values: Iterable[Tensor]) -> int:
    """Return the bytes of the storages of some tensors, each counted once."""
    return sum({t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in values}.values())


def learning(net: Any, block: int) -> list[nn.Parameter]:
    """Return the parameters that block ``block`` trains."""
    heads = list(net.classifiers)[block : block + 1]
    return [p for module in (blocks.chain(net.body, net.parts[block]), *heads) for p in module.parameters()]


# --------------------------------------------------------------------------- a step, block by block


def runs_of(
    monkeypatch: pytest.MonkeyPatch, step: TrainingStep, T: int, batch: int, train_block: Callable[..., Any] = blocks.train_block
) -> tuple[list[list[Moment]], int]:
    """Return the moments of each run of a block, in order, and the peak of the whole step."""
    calls, running = 0, 0

    def counted(*args: Any, **last: Any) -> Any:
        nonlocal calls, running
        calls += 1
        running = calls
        result = train_block(*args, **last)
        running = 0
        return result

    monkeypatch.setattr(blocks, "train_block", counted)
    trace = timeline_of(step, *batch_for(step, T, batch, "meta"), where=lambda: running)
    moments = trace.moments()
    first = calls // 2 + 1  # one training step runs before the traced one
    return [[m for m in moments if m.place == call] for call in range(first, calls + 1)], trace.peak().total


@dataclass(frozen=True)
class Alone:
    """A block that runs alone on its own tensors: per window, the increase of live bytes and the bytes of its state."""

    rise: list[int]
    state: list[int]


@dataclass(frozen=True)
class Setting:
    windows: list[int]  # steps of each
    shapes: list[tuple[int, ...]]  # of the network's input and of the output of each block
    T: int
    batch: int
    update: str


def alone(step: TrainingStep, block: int, setting: Setting) -> Alone:
    net: Any = step.net
    target = torch.empty(setting.batch, dtype=torch.long, device="meta")
    net.zero_grad(set_to_none=True)
    state: Any = None
    rise, left = [], []
    for steps in setting.windows:
        x = torch.empty(steps, setting.batch, *setting.shapes[block], device="meta")
        trace = Timeline()
        own = learning(net, block)
        trace.mark([*own, *held_tensors(net), x, target, *state_tensors(state)], "temporary")
        trace.mark([p.grad for p in own if p.grad is not None], "temporary")
        with watching(trace):
            last = len(left) == len(setting.windows) - 1
            _, state = blocks.train_block(net, block, x, state, InstantaneousLoss(target, setting.T), last=last)
        rise.append(trace.peak().total - trace.moments()[0].before)
        left.append(size(state_tensors(state)))
        if setting.update != "end":
            net.zero_grad(set_to_none=True)
    return Alone(rise, left)


def outside(step: TrainingStep, found: list[Alone], setting: Setting, w: int, i: int) -> int:
    """Return the live bytes when block i begins in window w."""
    net: Any = step.net
    last, batch = len(setting.windows) - 1, setting.batch
    trained = [4 * sum(p.numel() for p in learning(net, j)) for j in range(len(found))]
    gradients = {"end": sum(trained[:i] if w == 0 else trained), "window": sum(trained[:i]), "block": 0}[setting.update]
    newer = sum(block.state[w] for block in found[:i]) if w < last else 0  # the state after the last window is not kept
    older = sum(block.state[w - 1] for block in found[i:]) if w > 0 else 0
    return (
        2 * 4 * sum(p.numel() for p in net.parameters())  # and SGD's momentum
        + size(held_tensors(net))
        + size(batch_for(step, setting.T, batch, "meta"))
        + (4 * batch * net.spec.classes if w > 0 else 0)
        + gradients
        + newer
        + older
        + (4 * setting.windows[w] * batch * prod(setting.shapes[i]) if i > 0 else 0)
    )


CASES = [
    *((SMALL, backend, {"K": 3, "update": "end"}) for backend in PLAIN),
    *((SMALL, "native", {"K": K, "b": b, "update": u}) for K, b, u in [(7, 1, "end"), (2, 3, "window"), (1, 1, "block")]),
    *((SMALL, backend, {"K": 3, "classifier": "fixed", "update": "block"}) for backend in PLAIN[1:]),
    *((ALEXNET, "native", {"K": 7, "b": b, "update": "end"}) for b in (1, 2, 3, 4, 7)),
    (ALEXNET, "native", {"K": 4, "b": 2, "classifier": "conv", "update": "window"}),
    *(
        pytest.param(
            RESIDUAL, backend, {"K": 3, "b": 2, "update": "window"}, marks=[pytest.mark.slow] if backend != "native" else []
        )
        for backend in PLAIN  # with dropout
    ),
    ("vgg11-bn/cifar10-dvs", "native", {"K": 3, "b": 3, "update": "window"}),
]


@pytest.mark.sampled(every=8)
@pytest.mark.parametrize(("network", "backend", "options"), CASES, ids=str)
def test_local_training_peak_is_the_maximum_over_blocks_to_the_byte(
    monkeypatch: pytest.MonkeyPatch, network: str, backend: str, options: dict[str, Any]
) -> None:
    T, batch = 7, 3
    step, apart = (made(network, "ttl-bptt", backend, **options) for _ in range(2))
    net: Any = step.net
    windows = [len(window) for window in torch.empty(T).split(options["K"])]
    setting = Setting(
        windows,
        [net.spec.input, *(chain_shape(net.spec.layers[:end], net.spec.input) for _, end in net.parts)],
        T,
        batch,
        options["update"],
    )
    order = [(w, i) for w in range(len(windows)) for i in range(len(net.parts))]
    for _ in range(2):  # twice, as in steady training: snnTorch's modules hold tensors of their last step
        found = [alone(apart, i, setting) for i in range(len(net.parts))]
    runs, total = runs_of(monkeypatch, step, T, batch)
    explained = []
    for moments, (w, i) in zip(runs, order, strict=True):
        begins = outside(step, found, setting, w, i)
        assert moments[0].before == begins, f"window {w}, block {i}: what others left"
        explained.append(begins + found[i].rise[w])
        assert max(m.after for m in moments) == explained[-1], f"window {w}, block {i}"
    assert total == max(explained)


def test_local_training_peak_exceeds_the_sum_if_a_block_keeps_its_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all forward passes before all backward passes, gradients are equal but the peak exceeds the sum above."""
    T, batch = 7, 3
    waiting: list[Callable[[], None]] = []

    def locked(net: Any, block: int, x: Tensor, state: Any, criterion: Any, last: bool) -> tuple[Tensor, Any]:
        y, state = net.window_of(block, x, state)
        waiting.append(criterion(net.scores(block, y)).backward)
        if block == len(net.parts) - 1:
            while waiting:
                waiting.pop()()
        return y.detach(), state

    step = made(SMALL, "local")
    unlocked, least = runs_of(monkeypatch, step, T, batch)
    monkeypatch.undo()
    held_tensors, most = runs_of(monkeypatch, made(SMALL, "local"), T, batch, locked)
    assert most > 1.1 * least
    assert unlocked[0][0].before == held_tensors[0][0].before
    assert all(u[0].before < h[0].before for u, h in zip(unlocked[1:], held_tensors[1:], strict=True))


def test_live_bytes_over_time_decrease_after_every_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Live bytes rise and fall once per block; between blocks only input spikes and gradients remain."""
    runs, total = runs_of(monkeypatch, made(ALEXNET, "local"), 10, 16)
    tops, feet = [max(m.after for m in moments) for moments in runs], [moments[0].before for moments in runs]
    assert len(runs) == 7
    assert max(tops) == total
    for (top, foot), (_, after) in pairwise(zip(tops, feet, strict=True)):
        assert after < top
        assert foot < top
    largest = max(top - foot for top, foot in zip(tops, feet, strict=True))
    assert largest > 0.8 * (total - feet[0])  # the graph of one block is most of the peak


@pytest.mark.parametrize(("network", "algorithm", "options"), [(SMALL, "ttl-bptt", {"K": 3}), (ALEXNET, "bptt", {})])
def test_live_bytes_over_time_and_cost_probe_have_the_same_peak(network: str, algorithm: str, options: dict[str, Any]) -> None:
    step = made(network, algorithm, **options)
    trace = timeline_of(step, *batch_for(step, 5, 2, "meta"))
    assert trace.peak().total == peak(network, algorithm, 5, 2, **options) == max(m.after for m in trace.moments())


# --------------------------------------------------------------------------- over K and b

_VARIANTS = [
    ("alexnet/cifar10-dvs-42", 16), ("alexnet-unpooled/cifar10-dvs-48", 16), ("alexnet/cifar10-dvs-128", 16),
    ("alexnet/cifar10", 32), ("alexnet/fashion-mnist", 32), ("vgg11-bn/cifar10-dvs", 16), ("vgg-sws/cifar10-dvs", 16),
    (SMALL, 25),
]  # fmt: skip
ALWAYS = (ALEXNET, "vgg11-bn/cifar10-dvs", SMALL)  # early pooling, batch norm, the smallest; the others only with -m full


def of_network(network: str, *more: Any) -> Any:
    """Return a parameter set; for networks not in ALWAYS it is marked ``full``."""
    return pytest.param(network, *more, marks=() if network in ALWAYS else pytest.mark.full)


VARIANTS = [of_network(network, batch) for network, batch in _VARIANTS]


def each_pair(*factors: Sequence[Any]) -> list[Any]:
    """(network, batch, one value a factor). Of networks in ALWAYS every two values meet; their other combinations are slow."""
    always = [variant for variant in _VARIANTS if variant[0] in ALWAYS]
    sample = sampling.pairwise(always, *factors)

    def marks(variant: tuple[str, int], values: sampling.Combination) -> list[Any]:
        if variant not in always:
            return [pytest.mark.full]
        return [] if (variant, *values) in sample else [pytest.mark.slow]

    return [pytest.param(*variant, *values, marks=marks(variant, values)) for variant, *values in product(_VARIANTS, *factors)]


def assert_falls(peaks: list[int]) -> None:
    assert all(before > after for before, after in pairwise(peaks)), peaks


@pytest.mark.sampled(every=2)
@pytest.mark.parametrize(("network", "batch", "backend", "b"), each_pair(("native", "spikingjelly"), (1, 2, 99)))
def test_peak_decreases_with_the_window(network: str, batch: int, backend: str, b: int) -> None:
    assert_falls([peak(network, "ttl-bptt", 8, batch, backend, K=K, b=b) for K in (8, 4, 2, 1)])


AT_SIZE = [of_network(n) for n in (ALEXNET, "alexnet-unpooled/cifar10-dvs-48", "alexnet/cifar10-dvs-128", "vgg-sws/cifar10-dvs")]
NESTED = [(1, 2, 4, 99), (1, 3, 99)]  # layers per block: the cuts of each entry are also cuts of the entry before


def cuts(network: str, b: int) -> list[int]:
    return [begin for begin, _ in blocks.parts(zoo.spec(network).layers, b)]


def assert_falls_with_every_cut(network: str, batch: int, K: int, T: int = 8, **options: Any) -> None:
    by_b = {b: peak(network, "ttl-bptt", T, batch, K=K, b=b, **options) for b in (1, 2, 3, 4, 99)}
    for sizes in NESTED:
        distinct = [*(b for b, larger in pairwise(sizes) if cuts(network, b) != cuts(network, larger)), 99]
        assert all(set(cuts(network, larger)) < set(cuts(network, b)) for b, larger in pairwise(distinct))
        assert_falls([by_b[b] for b in reversed(distinct)])


@pytest.mark.sampled(every=2)
@pytest.mark.parametrize(("network", "batch", "classifier", "K"), each_pair(("pooled", "conv"), (8, 4, 2)))
def test_peak_decreases_with_every_cut(network: str, batch: int, classifier: str, K: int) -> None:
    assert_falls_with_every_cut(network, batch, K, classifier=classifier)


@pytest.mark.parametrize("K", [20, pytest.param(10, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow), 2])
@pytest.mark.parametrize("network", AT_SIZE)
def test_peak_decreases_with_every_cut_at_the_papers_size(network: str, K: int) -> None:
    assert_falls_with_every_cut(network, 64, K, T=20)


@pytest.mark.parametrize(("network", "batch", "classifier", "K"), each_pair(("dense", "fixed"), (8, 4)))
def test_peak_decreases_with_large_classifiers_in_long_windows(network: str, batch: int, classifier: str, K: int) -> None:
    assert_falls_with_every_cut(network, batch, K, classifier=classifier)


ON_A_FRAMEWORK = [of_network(network, batch, K) for network, batch in _VARIANTS for K in (8, 4, 2) if (network, K) != (SMALL, 8)]


@pytest.mark.slow
@pytest.mark.parametrize(("network", "batch", "K"), ON_A_FRAMEWORK)
def test_peak_decreases_with_every_cut_on_frameworks(network: str, batch: int, K: int) -> None:
    assert_falls_with_every_cut(network, batch, K, backend="spikingjelly")


def test_peak_of_the_smallest_network_does_not_decrease_at_its_last_cut_on_frameworks() -> None:
    """Single steps are stacked to the output of a block, which needs memory; the layer after this cut has only 128 neurons."""
    at = partial(peak, SMALL, "local", 8, 25, "spikingjelly")
    assert at(b=1) < at(b=2) < at(b=99) < at(b=3) < 1.005 * at(b=99)


@pytest.mark.parametrize(("network", "batch"), VARIANTS)
def test_peak_is_least_for_single_layers_in_long_windows_on_native(network: str, batch: int) -> None:
    """Native neurons save one map, so the widest layer determines most of the peak, and cuts elsewhere save little."""
    by_b = {b: peak(network, "local", 8, batch, b=b) for b in (1, 2, 3, 4, 99)}
    assert min(by_b, key=lambda b: by_b[b]) == 1


@pytest.mark.parametrize(
    ("classifier", "times"),
    [("pooled", 2), pytest.param("conv", 2, marks=pytest.mark.slow), pytest.param("dense", 3, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize(("network", "batch"), VARIANTS)
def test_peak_in_windows_of_one_step_decreases_except_for_the_classifiers(
    network: str, batch: int, classifier: str, times: int
) -> None:
    """In windows of one step the peak is in the forward pass of the widest layer, for every cut.

    Classifiers and their momentum add to it, and their gradient if they are larger than layers.
    """
    at = partial(peak, network, "ttl-bptt", 8, batch, K=1, classifier=classifier)

    def weights(b: int) -> int:
        net: Any = made(network, "ttl-bptt", b=b, classifier=classifier).net
        return 4 * sum(p.numel() for p in net.classifiers.parameters())

    for finer, coarser in [(1, 2), (2, 4), (1, 3), (4, 99), (3, 99)]:
        assert at(b=finer) <= at(b=coarser) + times * (weights(finer) - weights(coarser))


def test_peak_increases_if_classifiers_need_more_than_the_graph_saved() -> None:
    """A dense classifier needs three times its weights (weight, gradient, momentum); the graph of a short window can be less."""
    at = partial(peak, ALEXNET, "ttl-bptt", 8, 16, K=2, update="end")
    assert at(b=1, classifier="dense") > at(b=99)
    assert at(b=1, classifier="fixed") < at(b=99)
    assert at(b=1, classifier="dense") > 1.05 * at(b=1, classifier="pooled")


@pytest.mark.sampled(every=8)
@pytest.mark.parametrize("network", [SMALL, ALEXNET, RESIDUAL])
@pytest.mark.parametrize("backend", PLAIN)
def test_peak_of_one_block_equals_that_without_blocks(backend: str, network: str) -> None:
    at = partial(peak, network, T=6, batch=4, backend=backend)
    assert at("bptt") == at("local", b=99) == at("ttl-bptt", K=6, b=99) == at("tbptt", K=6)
    for update in ("end", "window"):
        assert at("ttl-bptt", K=4, b=99, update=update) == at("tbptt", K=4, update=update)


@pytest.mark.parametrize("backend", PLAIN)
def test_update_per_block_holds_gradients_of_one_block(backend: str) -> None:
    at = partial(peak, ALEXNET, "ttl-bptt", 8, 2, backend, K=2)
    assert at(update="block") < at(update="window") <= at(update="end")
