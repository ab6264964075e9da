"""Peak live bytes, MACs and traffic of a training step as formulas in T, the batch and the schedule.

The coefficients are counted by bench/planning/coefficients.py and stored in records; the page computes the same formulas in the
reader's browser (bench/templates/calculator.js), and tests compare both with counts.

At one moment of a training step the live bytes are a + b * batch, so that the peak is the largest of a few such lines:

    P(batch) = max over i of a[i] + b[i] * batch                                                      (``Peak``)

Peaks at a few numbers of time steps are joined by straight lines. For T time steps, with E, S and R bytes per sample of the input
of a step, of a state and of the spikes of a step, and segments of lengths K[0..C-1] (bench/algorithms/segments.py):

    "plain"         P(T)
    "checkpointed"  P(T) for C = 1, else  T * E + max( max over i < C - 1 of i * S + M(K[i]),  (C - 1) * S + G(K[C-1]) )
    "skipper"       T * E + P[C](kept) for C <= 2, else  T * E + max over i of (min(i, C - 2) - 1) * S + P[3](kept steps of i)
    "replay"        T * E + (T - K) * R + anchors * S + P(K), K: steps of the last window

M is the peak of a recomputed segment with another one after it and G that of the last one, without states; P[C] that of C
segments of equal length. MACs and traffic:

    (c0 + c1 * T + c2 * again + c3 * C) + (d0 + d1 * T + d2 * again + d3 * C) * batch

again: time steps that are recomputed with a graph.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from math import ceil
from typing import Literal

from bench.algorithms.segments import edges
from bench.algorithms.skipper import best_allowed_segments

Kind = Literal["plain", "checkpointed", "skipper", "replay"]
Line = tuple[float, float]  # (constant, slope)


@dataclass(frozen=True)
class Peak:
    """The largest of some lines in the batch."""

    lines: tuple[Line, ...]

    def __call__(self, batch: int) -> float:
        return max(constant + slope * batch for constant, slope in self.lines)

    def less(self, per_sample: float) -> Peak:
        """Return the peak without ``per_sample`` bytes of each sample."""
        return Peak(tuple((constant, slope - per_sample) for constant, slope in self.lines))


Pieces = tuple[tuple[int, Peak], ...]  # by number of time steps


@dataclass(frozen=True)
class Sizes:
    """What schedules are chosen by, in bytes per sample: ``input`` of a step (E), ``state`` (S), ``spikes`` of a step (R).

    ``layers``: of neurons. ``graph_to_state``: bytes saved for backward in a time step over bytes of state. ``kept``: share of
    the steps that Skipper keeps. ``window``: K of replay, ``within``: steps that it runs back from one state; 0: no bound.
    """

    input: int = 0
    state: float = 0.0
    layers: int = 0
    graph_to_state: float = 1.0
    kept: float = 1.0
    spikes: float = 0.0
    window: int = 1
    within: int = 0


@dataclass(frozen=True)
class Formula:
    """The peak live bytes of a training step for any T and batch. ``pieces``: P, M, G and P1 to P3 by name."""

    kind: Kind
    pieces: Mapping[str, Pieces]
    sizes: Sizes = field(default_factory=Sizes)

    def lengths(self, T: int) -> list[int]:
        """Return the lengths of the segments that the algorithm chooses itself; of replay: what is run back, and its window."""
        sizes = self.sizes
        match self.kind:
            case "plain":
                return [T]
            case "replay":
                return [T - sizes.window, sizes.window] if sizes.window < T else [T]
        segments = best_allowed_segments(T, sizes.layers, 100 * (1 - sizes.kept), sizes.graph_to_state)
        return [end - begin for begin, end in edges(T, segments)]

    def again(self, lengths: Sequence[int]) -> int:
        """Return the time steps that are recomputed with a graph."""
        if self.kind == "skipper":
            return sum(ceil(self.sizes.kept * length) for length in lengths)
        return sum(lengths[:-1])

    def at(self, piece: str, steps: float, batch: int) -> float:
        """Return P, M or G at a number of time steps."""
        return joined([(K, peak(batch)) for K, peak in self.pieces[piece]], steps)

    def peak(self, lengths: Sequence[int], batch: int) -> float:
        """Return the peak live bytes for segments of these lengths."""
        T, S, C, last = sum(lengths), self.sizes.state * batch, len(lengths), lengths[-1]
        match self.kind:
            case "plain":
                return self.at("P", T, batch)
            case "checkpointed":
                if C == 1:
                    return self.at("P", T, batch)
                needs = [i * S + self.at("M", K, batch) for i, K in enumerate(lengths[:-1])]
                most = max(*needs, (C - 1) * S + self.at("G", last, batch))
            case "skipper":
                kept = [ceil(self.sizes.kept * K) for K in lengths]
                if C <= 2:
                    most = self.at(f"P{C}", kept[0], batch)
                else:
                    most = max((min(i, C - 2) - 1) * S + self.at("P3", K, batch) for i, K in enumerate(kept))
            case "replay":
                spikes = (T - last) * self.sizes.spikes * batch
                most = spikes + anchors(T, last, self.sizes.within) * S + self.at("P", last, batch)
        return T * self.sizes.input * batch + most

    def as_dict(self) -> dict[str, object]:
        """Everything, in types that JSON has."""
        pieces = {name: [[K, [list(line) for line in peak.lines]] for K, peak in some] for name, some in self.pieces.items()}
        return {"kind": self.kind, "pieces": pieces, "sizes": asdict(self.sizes)}


def anchors(T: int, K: int, within: int) -> int:
    """Return the number of states that replay saves against rounding: one per run of windows invertible in a row.

    ``within``: steps that can be run back from one state; 0: no bound.
    """
    if not within or T <= K:
        return 0
    short = min(K, within)
    first = (T - K) % short or short  # the remaining steps form the first window
    windows, in_row = (T - K - first) // short, within // short
    runs = ceil(windows / in_row)
    room = within - (windows - (runs - 1) * in_row) * short if runs else within
    return max(runs - 1, 0) + (1 if runs and first > room else 0)


@dataclass(frozen=True)
class Amount:
    """MACs or bytes of traffic: coefficients of 1, T, again and C, without and with the batch as a factor."""

    fixed: tuple[float, float, float, float]
    per_sample: tuple[float, float, float, float]

    def __call__(self, T: int, again: int, segments: int, batch: int) -> float:
        fixed, per_sample = (c[0] + c[1] * T + c[2] * again + c[3] * segments for c in (self.fixed, self.per_sample))
        return fixed + per_sample * batch


@dataclass(frozen=True)
class Amounts:
    """What a training step computes and moves, besides what it keeps."""

    macs: Amount
    multiplications: Amount
    traffic: Amount

    def as_dict(self) -> dict[str, object]:
        """Everything, in types that JSON has."""
        return {name: [list(amount.fixed), list(amount.per_sample)] for name, amount in vars(self).items()}


def envelope(lines: Sequence[Line], least: float = 1.0) -> tuple[Line, ...]:
    """Return the lines that are the largest somewhere from ``least`` on, by rising slope."""
    best: list[Line] = []
    for constant, slope in sorted(set(lines), key=lambda line: (line[1], line[0])):
        while best and (best[-1][1] == slope or best[-1][0] + best[-1][1] * least <= constant + slope * least):
            best.pop()
        while len(best) > 1 and _meet(best[-1], (constant, slope)) <= _meet(best[-2], best[-1]):
            best.pop()
        best.append((constant, slope))
    return tuple(best)


def _meet(low: Line, high: Line) -> float:
    """Return where two lines cross."""
    return (low[0] - high[0]) / (high[1] - low[1])


def joined(points: Sequence[tuple[int, float]], K: float) -> float:
    """Return the value at K of the straight lines between points (K, value); the outer lines go on."""
    if len(points) == 1:
        return points[0][1]
    (k0, y0), (k1, y1) = next((pair for pair in pairwise(points) if pair[1][0] >= K), (points[-2], points[-1]))
    return y0 + (y1 - y0) * (K - k0) / (k1 - k0)
