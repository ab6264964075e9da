"""Segments of a sequence for checkpointing: their edges, the states between them, and the best number of segments.

For T steps in C segments of lengths K[i], with A bytes of graph per step and S bytes of state (both proportional to the batch):

    peak(C) = max over i of  i * S + K[i] * A,   about C * S + T / C * A,   least near C = sqrt(T * A / S)

When segment i is recomputed, the states 1..i are still kept (state 0 is the zero state). Longer segments come first, where
fewer states are kept beside their graph.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise, takewhile

import torch
from torch import Tensor

from bench.algorithms.context import Loss, Watcher
from bench.errors import UserError
from bench.nets.build import Network
from bench.nets.layers import State, leaves, shallow, state_tensors
from bench.nets.rerun import frozen_averages


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

    most = math.ceil(4 * math.sqrt(steps * kept * graph_to_state)) + 8  # the minimum is near a quarter of it
    return min(range(1, min(steps, most) + 1), key=lambda segments: (need(segments), segments))


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


@contextmanager
def second_pass(net: Network, watcher: Watcher) -> Iterator[None]:
    """In this context, time steps are recomputed."""
    with watcher.recomputing(), frozen_averages(net):
        yield


Run = Callable[[State], tuple[Tensor, State]]


def backward_through(run: Run, state: State, loss: Loss, gradient: list[Tensor | None]) -> tuple[Tensor, list[Tensor | None]]:
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
