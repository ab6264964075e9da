"""Formulas for the peak live bytes of exact training: BPTT, checkpointed BPTT and one-bit replay.

For a given network and batch every peak is a maximum of affine functions, one for each operator at which it may occur:

    BPTT                     T * in + B(T)
    segments K[0..C-1]       T * in + max( max over i < C-1 of i * S + M(K[i]),  (C-1) * S + B(K[C-1]) )
    replay in windows of K   T * in + (T - K) * S1 + anchors * S + R(K)

in: bytes of the input of one step; S: of a state; S1: of the spikes of one step at one bit each. B (graph of K steps, without
gradients), M (the same with the gradients of later segments) and R are counted for a few short sequences on device 'meta' and
extrapolated linearly. tests/unit/test_fit.py compares the formulas with counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from math import ceil, isinf, prod
from typing import Any, cast

from bench.algorithms import replay
from bench.algorithms.replay import invertible_steps
from bench.counting.step import batch_for, cost_of
from bench.nets.build import Network
from bench.nets.graph_size import graph_and_state
from bench.training_step import training_step

SHORT = (2, 4, 8, 16, 32)  # counted lengths, with a line through neighbouring ones; K = 1 behaves differently


@dataclass(frozen=True)
class Lines:
    """The maximum over lines of constant + slope * K; convex, like a maximum over operators."""

    lines: tuple[tuple[float, float], ...]  # (constant, slope)

    def __call__(self, K: int) -> float:
        return max(constant + slope * K for constant, slope in self.lines)

    def longest(self, need: float) -> int:
        """Return the largest K >= 0 with value(K) <= need; 0 if there is none."""
        return max(0, min(int((need - constant) // slope) for constant, slope in self.lines if slope > 0))


ZERO = Lines(((0.0, 0.0),))


def lines_through(points: Sequence[tuple[int, float]]) -> Lines:
    """Return the lines through neighbouring points."""
    slopes = [((y1 - y0) / (k1 - k0), k0, y0) for (k0, y0), (k1, y1) in pairwise(points)]
    return Lines(tuple((y - slope * k, slope) for slope, k, y in slopes))


@dataclass(frozen=True)
class Peaks:
    """The formulas for one network and batch."""

    input: int
    state: float
    spikes: float
    graph: Lines  # B
    middle: Lines  # M
    replayed: Lines  # R
    invertible_steps: float
    can_replay: bool  # whether one-bit replay can train this network
    layers: int  # of neurons
    graph_to_state: float  # A / S, from which algorithms choose their segments

    def bptt(self, T: int) -> float:
        return T * self.input + self.graph(T)

    def checkpointed(self, lengths: Sequence[int]) -> float:
        *earlier, last = lengths
        need = [i * self.state + self.middle(K) for i, K in enumerate(earlier)]
        return sum(lengths) * self.input + max(*need, len(earlier) * self.state + self.graph(last), 0)

    def anchors(self, T: int, K: int) -> int:
        """Return the number of states that replay saves against rounding: one per run of windows invertible in a row."""
        if isinf(self.invertible_steps) or T == K:
            return 0
        within = int(self.invertible_steps)
        short = min(K, within)
        first = (T - K) % short or short  # the remaining steps form the first window
        runs = ceil(((T - K - first) // short) / (within // short))
        room = within - ((T - K - first) // short - (runs - 1) * (within // short)) * short if runs else within
        return max(runs - 1, 0) + (1 if runs and first > room else 0)

    def replay(self, T: int, K: int) -> float:
        return T * self.input + (T - K) * self.spikes + self.anchors(T, K) * self.state + self.replayed(K)


@cache
def peaks_of(network: str, batch: int) -> Peaks:
    """Count what the formulas need; about a second."""

    def peak(T: int, algorithm: str, **options: Any) -> int:
        step = training_step(network, algorithm, "native", device="meta", **options)
        return cost_of(step, *batch_for(step, T, batch, "meta")).memory.total

    net = cast(Network, training_step(network, "bptt", "native", device="meta").net)
    frame = 4 * batch * prod(net.spec.input) if net.spec.encoding == "frames" else 0
    graph_bytes, state_bytes = graph_and_state(net)
    state = batch * state_bytes
    known: dict[str, Any] = {"input": frame, "state": state, "spikes": state / 32, "graph_to_state": graph_bytes / state_bytes}
    known |= {
        "layers": len(net.neurons()),
        "invertible_steps": invertible_steps(net),
        "can_replay": bool(replay.supports(net.spec)),
    }
    empty = Peaks(graph=ZERO, middle=ZERO, replayed=ZERO, **known)
    graph = [(K, peak(K, "bptt") - K * frame) for K in SHORT]
    middle = [(K, peak(2 * K + 1, "checkpointed", lengths=[K, K, 1]) - (2 * K + 1) * frame - state) for K in SHORT]
    replayed = [(K, peak(4 * K, "replay", K=K) - empty.replay(4 * K, K)) for K in SHORT if empty.can_replay]
    return replace(empty, graph=lines_through(graph), middle=lines_through(middle), replayed=lines_through(replayed))
