"""Counts the coefficients of bench/planning/formulas.py, on device 'meta'.

In the batch the peak is exact: the live bytes at every operator are counted for two batches, and each operator gets the line
through its two counts. In T, and for schedules, it is a fit, whose error is measured at settings that were not used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, isinf, prod
from typing import Any, cast

import numpy as np
import torch

from bench.algorithms.replay import invertible_steps
from bench.counting.any_step import Cost
from bench.counting.step import batch_for, cost_of
from bench.counting.timeline import timeline_of
from bench.errors import UserError
from bench.nets.build import Network
from bench.nets.graph_size import graph_and_state
from bench.planning.formulas import Amount, Formula, Peak, Pieces, Sizes, envelope
from bench.registry import ALGORITHMS
from bench.training_step import TrainingStep, training_step

STEPS = (1, 2, 4, 8, 16, 32)  # numbers of time steps that are counted
FEW = (1, 2, 4, 8)  # of algorithms whose memory does not grow with T, but for the input
BATCHES = (2, 3)
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Counter:
    """One algorithm on one network and backend."""

    network: str
    algorithm: str
    backend: str
    options: Options

    def step(self, **options: Any) -> TrainingStep:
        return training_step(self.network, self.algorithm, self.backend, device="meta", **{**self.options, **options})

    def suits(self, T: int) -> bool:
        """Whether the options suit a sequence of T time steps."""
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
        """Return the peak as a function of the batch; exact."""
        low, high = (self._live(T, batch, options) for batch in BATCHES)
        slopes = [(b - a) / (BATCHES[1] - BATCHES[0]) for a, b in zip(low, high, strict=True)]
        return Peak(envelope([(a - slope * BATCHES[0], slope) for a, slope in zip(low, slopes, strict=True)]))

    def _live(self, T: int, batch: int, options: Options) -> list[int]:
        step = self.step(**options)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # SLTT-k draws time steps: the same ones for both batches
            moments = timeline_of(step, *batch_for(step, T, batch, "meta")).moments()
        return [live for moment in moments for live in (moment.before, moment.after)]


@dataclass(frozen=True)
class Place:
    """A setting at which MACs and traffic are counted; ``again``: its time steps that are recomputed with a graph."""

    T: int
    again: int
    segments: int
    options: Options


def formula(counter: Counter) -> Formula:
    """Count the formula of one algorithm; takes seconds. Raises UserError if the combination does not exist."""
    match counter.algorithm:
        case "checkpointed":
            return _checkpointed(counter)
        case "skipper":
            return _skipper(counter)
        case "replay":
            return _replay(counter)
    K = getattr(counter.step().recipe.options, "K", 1)  # of a window: a shorter last one changes the cost
    steps = FEW if ALGORITHMS[counter.algorithm].memory == "constant in T" else STEPS
    lengths = sorted(T for T in {*steps, K, K + K // 2, 2 * K, 3 * K, 4 * K} if counter.suits(T))
    pieces = tuple((T, counter.peak(T)) for T in lengths)
    return Formula("plain", {"P": pieces}, *_amounts(counter, [Place(2 * K, 0, 1, {}), Place(4 * K, 0, 1, {})]))


def _checkpointed(counter: Counter) -> Formula:
    sizes = _sizes(counter)
    E, S = sizes.input, sizes.state
    bptt = Counter(counter.network, "bptt", counter.backend, {})
    pieces = {
        "P": tuple((K, bptt.peak(K)) for K in STEPS),
        "M": tuple((K, counter.peak(2 * K + 1, lengths=[K, K, 1]).less((2 * K + 1) * E + S)) for K in STEPS),
        "G": tuple((K, counter.peak(K + 1, lengths=[1, K]).less((K + 1) * E + S)) for K in STEPS),
    }
    places = [
        Place(sum(lengths), sum(lengths[:-1]), len(lengths), {"lengths": lengths}) for lengths in ([8], [4, 4], [6, 2], [2, 4, 4])
    ]
    return Formula("checkpointed", pieces, *_amounts(counter, places), sizes)


def _skipper(counter: Counter) -> Formula:
    p = counter.step().recipe.options.as_dict()["p"]
    sizes = replace(_sizes(counter), kept=1 - cast(float, p) / 100)
    n, kept = sizes.layers, sizes.kept

    def equal(segments: int, steps: int) -> Peak:
        T = segments * ceil(steps / kept)
        return counter.peak(T, segments=segments).less(T * sizes.input)

    pieces: dict[str, Pieces] = {f"P{C}": tuple((steps, equal(C, steps)) for steps in (n, 2 * n, 4 * n)) for C in (1, 2, 3)}
    T = ceil(2 * n / kept)
    places = [
        Place(T, T, 1, {"segments": 1, "p": 0}),
        Place(2 * T, 2 * T, 1, {"segments": 1, "p": 0}),
        Place(T, T, 2, {"segments": 2, "p": 0}),
        Place(T, ceil(kept * T), 1, {"segments": 1, "p": p}),
    ]
    return Formula("skipper", pieces, *_amounts(counter, places), sizes)


def _replay(counter: Counter) -> Formula:
    step = counter.step()
    K, back = cast(int, step.recipe.options.as_dict()["K"]), invertible_steps(cast(Network, step.net))
    sizes = replace(_sizes(counter), window=K, within=0 if isinf(back) else int(back))
    sizes = replace(sizes, spikes=sizes.state / 32)
    nothing = Amount((0, 0, 0, 0), (0, 0, 0, 0))
    empty = Formula("replay", {"P": ((K, Peak(((0.0, 0.0),))),)}, nothing, nothing, nothing, sizes)
    T = 4 * K
    pieces = {"P": ((K, counter.peak(T).less(empty.peak(empty.lengths(T), 1))),)}
    return Formula("replay", pieces, *_amounts(counter, [Place(T, T - K, 2, {}), Place(2 * T, 2 * T - K, 2, {})]), sizes)


def _sizes(counter: Counter) -> Sizes:
    step = counter.step()
    spec, (graph, state) = step.trainable.spec, graph_and_state(cast(Network, step.net))
    frame = 4 * prod(spec.input) if spec.encoding == "frames" else 0
    return Sizes(frame, round(state), len(step.trainable.neurons()), graph / state)


def _amounts(counter: Counter, places: Sequence[Place]) -> tuple[Amount, Amount, Amount]:
    """Return MACs, multiplications and traffic, from counts at two places (coefficients of 1 and T) or at four (all)."""
    terms = np.array([[1, place.T, place.again, place.segments][: len(places)] for place in places], dtype=float)
    low, high = ([_read(counter.cost(place.T, batch, **place.options)) for place in places] for batch in BATCHES)
    found = []
    for at_low, at_high in zip(zip(*low, strict=True), zip(*high, strict=True), strict=True):
        slope = (np.array(at_high) - np.array(at_low)) / (BATCHES[1] - BATCHES[0])
        fixed = np.array(at_low) - BATCHES[0] * slope
        found.append(Amount(*(_four(np.linalg.solve(terms, values)) for values in (fixed, slope))))
    return found[0], found[1], found[2]


def _four(solved: np.ndarray[Any, Any]) -> tuple[float, float, float, float]:
    c0, c1, c2, c3 = (round(float(value), 3) for value in (*solved, 0.0, 0.0)[:4])
    return c0, c1, c2, c3


def _read(cost: Cost) -> tuple[float, float, float]:
    """Return dense MACs, multiplications and bytes of traffic."""
    macs = cost.macs
    return sum(macs.dense.values()), sum(macs.multiplications.values()), cost.traffic.conventions()["compulsory"]
