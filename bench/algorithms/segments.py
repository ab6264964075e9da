"""Segments of a sequence for checkpointing: their edges, the states between them, and the best number of segments.

For T steps in C segments of lengths K[i], with A bytes of graph per step and S bytes of state (both proportional to the batch):

    peak(C) = max over i of  i * S + K[i] * A,   about C * S + T / C * A,   least near C = sqrt(T * A / S)

When segment i is recomputed, the states 1..i are still kept (state 0 is the zero state). Longer segments come first, where
fewer states are kept beside their graph.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise, takewhile

import torch
from torch import Tensor, nn

from bench.networks.build import Network
from bench.networks.modules import State, map_state, state_tensors
from bench.spec import UserError


def edges(steps: int, segments: int) -> list[tuple[int, int]]:
    """Return ``segments`` half-open ranges that cover ``steps`` time steps; lengths differ by at most one, longer ones first.

    Raises UserError unless 1 <= segments <= steps.
    """
    if not 1 <= segments <= steps:
        raise UserError(f"segments = {segments} of T = {steps} steps; use 1 <= segments <= T, or 0 for the best")
    long, short = -(-steps // segments), steps // segments
    first = steps - short * segments  # number of segments with one step more
    cuts = [min(i, first) * long + max(0, i - first) * short for i in range(segments + 1)]
    return list(pairwise(cuts))


def best_segments(steps: int, graph_to_state: float, kept: float = 1.0) -> int:
    """Return the smallest number of segments with least memory; ``kept``: the fraction of a segment that is recomputed."""

    def need(segments: int) -> float:  # peak in units of S: at the last of the longer segments or the last of all
        short, longer = divmod(steps, segments)
        last = segments - 1 + math.ceil(kept * short) * graph_to_state
        return max(last, longer - 1 + math.ceil(kept * (short + 1)) * graph_to_state) if longer else last

    far = math.ceil(4 * math.sqrt(steps * kept * graph_to_state)) + 8  # the minimum is near a quarter of it
    return min(range(1, min(steps, far) + 1), key=lambda segments: (need(segments), segments))


def falling_edges(steps: int, graph_to_state: float) -> list[tuple[int, int]]:
    """Return segments of decreasing length that all need the same memory M: i * S + K[i] * A is about M for all i.

    M is the least with sum over i of floor((M - i * S) / A) >= T: about sqrt(2 T A S), compared with 2 sqrt(T A S) for even
    segments.
    """

    def lengths(need: float) -> list[int]:  # in units of S
        most = (math.floor((need - i) / graph_to_state + 1e-9) for i in range(steps))
        return list(takewhile(lambda length: length > 0, most))

    low, high = 0.0, steps * graph_to_state
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if sum(lengths(middle)) >= steps else (middle, high)
    cuts = [0]
    for length in lengths(high):
        cuts.append(min(cuts[-1] + length, steps))
    return [(begin, end) for begin, end in pairwise(cuts) if begin < end]


def graph_to_state(net: Network) -> float:
    """Return A / S of a network: bytes of graph per step over bytes of state."""
    graph, state = graph_and_state(net)
    return graph / max(state, 1)


def graph_and_state(net: Network) -> tuple[int, int]:
    """Return (A, S) in bytes for one sample: saved for backward per time step, and state between two steps.

    Measured on a copy on device 'meta', as the difference between batches of 3 and 2 (batch norm may need more than one sample).
    """
    twin = copy.deepcopy(net).to("meta").train(net.training)
    (graph_2, state_2), (graph_3, state_3) = _one_step(twin, 2), _one_step(twin, 3)
    return graph_3 - graph_2, state_3 - state_2


def _one_step(net: Network, batch: int) -> tuple[int, int]:
    """Return (A, S) in bytes for ``batch`` samples, at the second time step. Dropout masks do not change, so S excludes them."""
    x = torch.empty(1, batch, *net.spec.input, device="meta")
    with torch.no_grad():
        _, state = net.window(x, net.initial_state(batch))
    before = {tensor.untyped_storage()._cdata for tensor in state_tensors(state)}
    start = map_state(_leaf, state)
    kept: dict[int, int] = {}
    alive: list[Tensor] = []  # keeps the tensors, so that no address is reused

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in before:
            kept[storage._cdata] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        _, after = net.window(x, shallow(start))
    changed = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in state_tensors(after)}
    return sum(kept.values()), sum(size for address, size in changed.items() if address not in before)


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(tensor.is_floating_point())


def shallow(state: State) -> State:
    """Return the same tensors in new lists: a network consumes the lists it is given."""
    return map_state(lambda tensor: tensor, state)


def leaves(state: State) -> State:
    """Return the state as leaf tensors, so that back-propagation stops there and dL/d(state) is in ``.grad``."""
    return map_state(_leaf, state)


class Randomness:
    """Saves the state of the random number generators, so that a computation can be repeated with the same numbers."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        self._state = torch.cuda.get_rng_state(device) if self._cuda else torch.get_rng_state()

    @contextmanager
    def again(self) -> Iterator[None]:
        """In this context, repeat the random numbers drawn after construction; the generators' state is restored at the end."""
        with torch.random.fork_rng(devices=[self._cuda] if self._cuda else []):
            if self._cuda:
                torch.cuda.set_rng_state(self._state, self._cuda)
            else:
                torch.set_rng_state(self._state)
            yield


@contextmanager
def second_pass(net: Network) -> Iterator[None]:
    """In this context, time steps are recomputed."""
    net.again = True
    try:
        with averages_still(net):
            yield
    finally:
        net.again = False


@contextmanager
def averages_still(layers: nn.Module) -> Iterator[None]:
    """In this context, running averages of batch norm stay unchanged: the first pass has updated them."""
    norms = [module for module in layers.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    tracked = [module.track_running_stats for module in norms]
    saved = [(module.running_mean, module.running_var, module.num_batches_tracked) for module in norms]
    for module in norms:
        module.track_running_stats = False
        module.running_mean = module.running_var = module.num_batches_tracked = None
    try:
        yield
    finally:
        for module, tracks, (mean, var, batches) in zip(norms, tracked, saved, strict=True):
            module.track_running_stats = tracks
            module.running_mean, module.running_var, module.num_batches_tracked = mean, var, batches


Run = Callable[[State], tuple[Tensor, State]]


def backward_through(
    run: Run, state: State, loss: Callable[[Tensor], Tensor], gradient: list[Tensor | None]
) -> tuple[Tensor, list[Tensor | None]]:
    """Run a segment with a graph from ``state``, then back-propagate its loss and dL/d(end state).

    ``run(state) -> (outputs [K, B, C], end state)``; ``gradient``: dL/d(end state), one entry per tensor, empty for the last
    segment. Returns the outputs, detached, and dL/d(start state) in the same order.
    """
    start = leaves(state)
    inputs = list(state_tensors(start))
    out, end = run(shallow(start))
    ends, back = [], []
    for tensor, g in zip(state_tensors(end), gradient, strict=bool(gradient)):
        if g is not None and tensor.requires_grad:
            ends.append(tensor)
            back.append(g)
    torch.autograd.backward([loss(out), *ends], [None, *back])
    return out.detach(), [tensor.grad for tensor in inputs]
