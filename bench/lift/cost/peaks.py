"""The formulas of bench/planning/formulas.py for a user's module at one batch, fitted to few counts without storage."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import ceil, prod
from typing import cast

from bench import algorithms
from bench.lift.cost.counts import AsWritten, ByAlgorithm
from bench.lift.recognition.parts import OptionValues
from bench.options import Declared
from bench.planning import coefficients
from bench.planning.formulas import Peak, Sizes, joined

SHORT = (4, 8, 16)  # the first steps, from a state that is not yet there, differ

OfT = Callable[[int], float]  # T -> bytes


def as_written(counts: AsWritten, batch: int) -> OfT:
    """Return the peak of the module as written, as a function of T."""
    points = [(T, float(counts.cost(T, batch).memory.total)) for T in SHORT]
    return lambda T: joined(points, T)


def by_algorithm(counts: ByAlgorithm, batch: int, options: OptionValues) -> OfT:
    """Return the peak of a training step by an algorithm, as a function of T."""
    counting = OfModule(counts, batch, dict(options))
    match counts.algorithm:
        case "skipper":
            return _skipper(counting)
        case "replay":
            points = [(T, counting.peak(T)(batch)) for T in SHORT]
            return lambda T: joined(points, T)
    found = coefficients.formula(counting, SHORT, (6, 12))
    return lambda T: found.peak(coefficients.lengths(found, counting.options, T), batch)


def _skipper(counting: OfModule) -> OfT:
    """As checkpointed with segments of the kept steps' lengths: Skipper's own would take long sequences to count."""
    sizes, options, batch = counting.sizes, counting.options.as_dict(), counting.batch
    segments = coefficients.formula(counting.by("checkpointed"), SHORT)
    own = replace(segments, kind="skipper", sizes=replace(sizes, kept=1 - cast(float, options["p"]) / 100))

    def peak(T: int) -> float:
        kept = [ceil(own.sizes.kept * K) for K in coefficients.lengths(own, counting.options, T)]
        return T * sizes.input * batch + max(i * sizes.state * batch + segments.at("M", K, batch) for i, K in enumerate(kept))

    return peak


@dataclass(frozen=True)
class OfModule:
    """A user's module at one batch; satisfies ``bench.planning.coefficients.Counting``."""

    counts: ByAlgorithm
    batch: int
    named: OptionValues = field(default_factory=dict)

    @property
    def algorithm(self) -> str:
        return self.counts.algorithm

    @cached_property
    def options(self) -> Declared:
        found: Declared = algorithms.load(self.algorithm).Options.named(self.algorithm, dict(self.named))
        return found

    @cached_property
    def sizes(self) -> Sizes:
        net, it = self.counts.lifted(max(SHORT)), self.counts.it
        _, state = net.graph_and_state
        frame = it.x.element_size() * prod(net.frame) if it.encoding == "frames" else 0
        return Sizes(frame, state, len(net.neurons()), net.graph_to_state, spikes=state / 32)

    def suits(self, T: int) -> bool:
        return max(getattr(self.options, name, 1) for name in ("K", "k")) <= T

    def peak(self, T: int, **options: object) -> Peak:
        return Peak(((self.counts.cost(T, self.batch, **{**self.named, **options}).memory.total, 0.0),))

    def by(self, algorithm: str) -> OfModule:
        return replace(self, counts=ByAlgorithm(self.counts.it, algorithm, self.counts.precision), named={})
