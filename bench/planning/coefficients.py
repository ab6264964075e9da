"""Counts the coefficients of bench/planning/formulas.py, without storage.

A peak is counted either at one batch, or for every batch: then the live bytes at every operator are counted for two batches, and
each operator gets the line through its two counts, which is exact. In T, and for schedules, a formula is a fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, isinf, prod
from typing import Any, Protocol, Self, cast

import numpy as np
import torch

from bench.algorithms import checkpointed, skipper
from bench.algorithms.replay import invertible_steps
from bench.algorithms.segments import edges
from bench.counting.any_step import Cost
from bench.counting.step import batch_for, cost_of
from bench.counting.timeline import timeline_of
from bench.errors import UserError
from bench.nets.build import Network
from bench.nets.graph_size import graph_and_state
from bench.options import Declared
from bench.planning.formulas import Amount, Amounts, Formula, Peak, Pieces, Sizes, envelope
from bench.registry import ALGORITHMS
from bench.training_step import TrainingStep, training_step

STEPS = (1, 2, 4, 8, 16, 32)  # numbers of time steps that are counted
FEW = (1, 2, 4, 8)  # of algorithms whose memory does not grow with T, but for the input
BATCHES = (2, 3)
Options = Mapping[str, Any]


class Counting(Protocol):
    """Counts of training steps of one network by one algorithm, with options that may differ."""

    @property
    def algorithm(self) -> str: ...

    @property
    def options(self) -> Declared:
        """The algorithm's own options."""

    @property
    def sizes(self) -> Sizes:
        """Bytes of input and state, layers, graph over state; for replay, the steps that can be run back."""

    def suits(self, T: int) -> bool:
        """Whether the options suit a sequence of T time steps."""

    def peak(self, T: int, **options: Any) -> Peak: ...

    def by(self, algorithm: str) -> Self:
        """Return the same for another algorithm with its default options."""


@dataclass(frozen=True)
class OfCatalogue:
    """A network of the catalogue on a backend; peaks as functions of the batch, or ``at`` one batch alone, which is faster."""

    network: str
    algorithm: str
    backend: str
    named: tuple[tuple[str, Any], ...] = ()
    at: int | None = None

    @cached_property
    def options(self) -> Declared:
        return self.step().recipe.options

    @cached_property
    def sizes(self) -> Sizes:
        step = self.step()
        net = cast(Network, step.net)
        spec, (graph, state), back = net.spec, graph_and_state(net), invertible_steps(net)
        frame = 4 * prod(spec.input) if spec.encoding == "frames" else 0
        within = 0 if isinf(back) else int(back)
        return Sizes(frame, state, len(net.neurons()), graph / state, spikes=state / 32, within=within)

    def by(self, algorithm: str) -> OfCatalogue:
        return replace(self, algorithm=algorithm, named=())

    def step(self, **options: Any) -> TrainingStep:
        return training_step(self.network, self.algorithm, self.backend, device="meta", **{**dict(self.named), **options})

    def suits(self, T: int) -> bool:
        step = self.step()
        try:
            step.recipe.options.suits(step.trainable.spec, T)
        except UserError:
            return False
        return True

    def cost(self, T: int, batch: int, **options: Any) -> Cost:
        step = self.step(**options)
        return cost_of(step, *batch_for(step, T, batch, "meta"))

    def peak(self, T: int, **options: Any) -> Peak:
        if self.at is not None:
            return Peak(((self.cost(T, self.at, **options).memory.total, 0.0),))
        low, high = (self._live(T, batch, options) for batch in BATCHES)
        slopes = [(b - a) / (BATCHES[1] - BATCHES[0]) for a, b in zip(low, high, strict=True)]
        return Peak(envelope([(a - slope * BATCHES[0], slope) for a, slope in zip(low, slopes, strict=True)]))

    def _live(self, T: int, batch: int, options: Options) -> list[int]:
        step = self.step(**options)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # SLTT-K draws time steps: the same ones for both batches
            moments = timeline_of(step, *batch_for(step, T, batch, "meta")).moments()
        return [live for moment in moments for live in (moment.before, moment.after)]


def formula(counting: Counting, steps: Sequence[int] = STEPS, few: Sequence[int] = FEW) -> Formula:
    """Count the formula of one algorithm, at ``steps`` time steps, or at a ``few`` if its memory is constant in T.

    Raises UserError if the combination does not exist.
    """
    match counting.algorithm:
        case "checkpointed":
            return _checkpointed(counting, steps)
        case "skipper":
            return _skipper(counting)
        case "replay":
            return _replay(counting, steps)
    K = _window(counting)
    tried = few if ALGORITHMS[counting.algorithm].memory == "constant in T" else steps
    lengths = sorted(T for T in {*tried, *((K, K + K // 2, 2 * K, 3 * K, 4 * K) if K > 1 else ())} if counting.suits(T))
    return Formula("plain", {"P": tuple((T, counting.peak(T)) for T in lengths)})


def lengths(found: Formula, options: Declared, T: int) -> list[int]:
    """Return the lengths of the segments of T time steps; options may set their number, or make them fall."""
    match options:
        case checkpointed.Options():
            parts = checkpointed.segments_of(T, found.sizes.graph_to_state, options)
        case skipper.Options(segments=segments) if segments:
            parts = edges(T, segments)
        case _:
            return found.lengths(T)
    return [end - begin for begin, end in parts]


def _window(counting: Counting) -> int:
    """Return the steps of a window; a last one that is shorter has another cost."""
    return int(getattr(counting.options, "K", 1))


def _checkpointed(counting: Counting, steps: Sequence[int]) -> Formula:
    sizes, bptt = counting.sizes, counting.by("bptt")
    E, S = sizes.input, sizes.state
    pieces = {
        "P": tuple((K, bptt.peak(K)) for K in steps),
        "M": tuple((K, counting.peak(2 * K + 1, lengths=[K, K, 1]).less((2 * K + 1) * E + S)) for K in steps),
        "G": tuple((K, counting.peak(K + 1, lengths=[1, K]).less((K + 1) * E + S)) for K in steps),
    }
    return Formula("checkpointed", pieces, sizes)


def _skipper(counting: Counting) -> Formula:
    sizes = replace(counting.sizes, kept=_kept(counting.options))
    n = sizes.layers

    def equal(segments: int, steps: int) -> Peak:
        T = segments * ceil(steps / sizes.kept)
        return counting.peak(T, segments=segments).less(T * sizes.input)

    tried = (n, 2 * n) if n >= 8 else (n, 2 * n, 4 * n)  # a segment keeps at least as many steps as there are layers
    pieces: dict[str, Pieces] = {f"P{C}": tuple((steps, equal(C, steps)) for steps in tried) for C in (1, 2, 3)}
    return Formula("skipper", pieces, sizes)


def _kept(options: Declared) -> float:
    return 1 - cast(float, options.as_dict()["p"]) / 100


def _replay(counting: Counting, steps: Sequence[int]) -> Formula:
    sizes = replace(counting.sizes, window=_window(counting))
    lengths = sorted({*steps, sizes.window})
    nothing = Formula("replay", {"P": tuple((K, Peak(((0.0, 0.0),))) for K in lengths)}, sizes)
    peaks = tuple((K, counting.peak(4 * K, K=K).less(nothing.peak([3 * K, K], 1))) for K in lengths)
    return Formula("replay", {"P": peaks}, sizes)


# --------------------------------------------------------------------------- MACs and traffic


@dataclass(frozen=True)
class _Place:
    """A setting at which MACs and traffic are counted; ``again``: its time steps that are recomputed with a graph."""

    T: int
    again: int
    segments: int
    options: Options


def amounts(counter: OfCatalogue) -> Amounts:
    """Count MACs, multiplications and traffic of one algorithm."""
    places = _places(counter)
    terms = np.array([[1, place.T, place.again, place.segments][: len(places)] for place in places], dtype=float)
    low, high = ([_read(counter.cost(place.T, batch, **place.options)) for place in places] for batch in BATCHES)
    found = []
    for at_low, at_high in zip(zip(*low, strict=True), zip(*high, strict=True), strict=True):
        slope = (np.array(at_high) - np.array(at_low)) / (BATCHES[1] - BATCHES[0])
        fixed = np.array(at_low) - BATCHES[0] * slope
        found.append(Amount(*(_four(np.linalg.solve(terms, values)) for values in (fixed, slope))))
    return Amounts(*found)


def _places(counter: OfCatalogue) -> list[_Place]:
    """Return as many places as there are coefficients: two of 1 and T, or four."""
    K = _window(counter)
    match counter.algorithm:
        case "checkpointed":
            tried = ([8], [4, 4], [6, 2], [2, 4, 4])
            return [_Place(sum(lengths), sum(lengths[:-1]), len(lengths), {"lengths": lengths}) for lengths in tried]
        case "skipper":
            p, kept = counter.options.as_dict()["p"], _kept(counter.options)
            T = ceil(2 * counter.sizes.layers / kept)
            return [
                _Place(T, T, 1, {"segments": 1, "p": 0}),
                _Place(2 * T, 2 * T, 1, {"segments": 1, "p": 0}),
                _Place(T, T, 2, {"segments": 2, "p": 0}),
                _Place(T, ceil(kept * T), 1, {"segments": 1, "p": p}),
            ]
        case "replay":
            return [_Place(4 * K, 3 * K, 2, {}), _Place(8 * K, 7 * K, 2, {})]
    return [_Place(2 * K, 0, 1, {}), _Place(4 * K, 0, 1, {})]


def _four(solved: np.ndarray[Any, Any]) -> tuple[float, float, float, float]:
    c0, c1, c2, c3 = (round(float(value), 3) for value in (*solved, 0.0, 0.0)[:4])
    return c0, c1, c2, c3


def _read(cost: Cost) -> tuple[float, float, float]:
    """Return dense MACs, multiplications and bytes of traffic."""
    macs = cost.macs
    return sum(macs.dense.values()), sum(macs.multiplications.values()), cost.traffic.conventions()["compulsory"]
