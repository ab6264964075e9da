"""The cheapest exact training step of a user's module within a budget, and the exact front: memory against multiply-accumulates.

Every schedule gives the gradient and the running statistics of BPTT. A schedule divides the sequence into segments in time,
where no layer ties the time steps, and computes groups of layers again in depth:

    bptt                                     nothing
    checkpointed, segments 1, layers []      spikes as bits, neurons computed again from the synapses' outputs: no products
    checkpointed, segments 1, layers [...]   groups of layers too (bench/lift/fitting/schedules.py)
    checkpointed, segments C, layers [...]   the same within segments

"Cheapest" means fewest dense multiply-accumulates. Schedules are proposed from the bytes of units and then counted, each on
tensors without storage: a peak that is returned is a count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor, nn

from bench.algorithms.context import Unwatched
from bench.counting.any_step import Cost
from bench.counting.tape import tensors, watching
from bench.counting.timeline import Timeline, held_tensors
from bench.errors import UserError
from bench.lift.cost.measure import checked
from bench.lift.cost.subject import Optimizer, Subject, subject
from bench.lift.fitting.bound import Bound, size_of, weights_of
from bench.lift.fitting.schedules import Model, cheapest
from bench.lift.fitting.units import Marks, Unit, taken, units_of
from bench.lift.recognition.flow import Flow, flow_of
from bench.lift.recognition.parts import OptionValues
from bench.lift.recognition.recognise import Recognised
from bench.lift.recognition.timing import Encoding
from bench.lift.recognition.trial import Trials
from bench.lift.recognition.twin import Meta
from bench.lift.running.layers import NORMS, Recompute, depth_of
from bench.lift.running.training import LiftedStep, require, training_step
from bench.overhead import HEADROOM, usable

TARGETS = 8  # budgets between the least and BPTT's peak at which the front is asked for


@dataclass(frozen=True)
class Schedule:
    """``training_step(module, algorithm, **options)``, counted: ``peak`` live bytes, dense multiply-accumulates."""

    algorithm: str
    options: OptionValues
    peak: int
    macs: int

    def as_dict(self) -> dict[str, object]:
        return {"algorithm": self.algorithm, "options": dict(self.options), "peak": self.peak, "macs": self.macs}


@dataclass(frozen=True)
class Front:
    """``schedules``: by falling peak and growing products, BPTT first; what recomputation leaves; what was recognised."""

    schedules: tuple[Schedule, ...]
    bound: Bound
    recognised: Recognised

    @property
    def bptt(self) -> Schedule:
        return self.schedules[0]

    def as_dict(self) -> dict[str, object]:
        return {"schedules": [each.as_dict() for each in self.schedules], "bound": self.bound.as_dict()}


@dataclass(frozen=True)
class Fitted:
    """The schedule of fewest products that fits ``allowed`` bytes; ``ratio``: its products over those of BPTT."""

    schedule: Schedule
    ratio: float
    allowed: float
    bound: Bound
    recognised: Recognised

    def as_dict(self) -> dict[str, object]:
        return self.schedule.as_dict() | {"ratio": self.ratio, "allowed": self.allowed, "bound": self.bound.as_dict()}


def fit(
    module: nn.Module,
    x_shape: Sequence[int],
    *,
    T: int,
    batch: int,
    budget: float,
    headroom: float = HEADROOM,
    encoding: Encoding = "repeat",
    optimizer: Optimizer = "sgd",
) -> Fitted:
    """Return the cheapest exact training step of ``module`` on a card of ``budget`` bytes, less ``headroom``.

    Train by it with ``training_step(module, fitted.schedule.algorithm, **fitted.schedule.options)``. Other arguments are those of
    ``measure``. Raises UserError if nothing fits, with the least that is needed and what bounds it.
    """
    allowed = usable(budget, headroom)
    frame = checked(module, x_shape, T, batch, encoding, "float32")
    with _counting(module, frame, T, batch, encoding, optimizer) as counts:
        bptt = counts.count("bptt", {})
        best = next((each for each in counts.within(allowed) if each.peak <= allowed), None)
        if best is None:
            name, least = counts.subject.recognised.module, counts.least()
            raise UserError(
                f"{name} with T = {T}, batch {batch} does not fit with exact gradients: the least that was found is "
                f"{size_of(least.peak)}, and a budget of {size_of(budget)} less {size_of(headroom)} of headroom leaves "
                f"{size_of(allowed)}. What recomputation leaves is {counts.bound}. Raise the budget, lower the batch or T, or "
                "take an approximation (truncated BPTT, SLTT)"
            )
        return Fitted(best, best.macs / max(bptt.macs, 1), allowed, counts.bound, counts.subject.recognised)


def front(
    module: nn.Module,
    x_shape: Sequence[int],
    *,
    T: int,
    batch: int,
    encoding: Encoding = "repeat",
    optimizer: Optimizer = "sgd",
) -> Front:
    """Return the schedules of which no other has fewer bytes and as few products. Arguments are those of ``measure``."""
    frame = checked(module, x_shape, T, batch, encoding, "float32")
    with _counting(module, frame, T, batch, encoding, optimizer) as counts:
        bptt, found = counts.count("bptt", {}), [counts.free(), counts.least()]
        low, high = found[1].peak, found[0].peak
        for i in range(1, TARGETS):
            found += counts.proposed(low + (high - low) * i / TARGETS)
        return Front((bptt, *_best(found)), counts.bound, counts.subject.recognised)


def _best(found: Sequence[Schedule]) -> list[Schedule]:
    best: list[Schedule] = []
    for each in sorted(found, key=lambda each: (each.macs, each.peak)):
        if not best or each.peak < best[-1].peak:
            best.append(each)
    return best


@contextmanager
def _counting(
    module: nn.Module, frame: Sequence[int], T: int, batch: int, encoding: Encoding, optimizer: Optimizer
) -> Iterator[_Counts]:
    with subject(module, optimizer, Meta(), frame, T, batch, encoding) as it:
        yield _Counts(it, T, batch, encoding, Trials(it.net, tuple(frame), T, Meta()))


@dataclass
class _Counts:
    """Counted schedules of one module."""

    subject: Subject
    T: int
    batch: int
    encoding: Encoding
    trials: Trials
    _known: dict[str, Schedule] = field(default_factory=dict)
    _steps: dict[str, LiftedStep] = field(default_factory=dict)

    @cached_property
    def flow(self) -> Flow:
        return flow_of(self._whole().lifted(self._x()).recognised, self.trials)

    @cached_property
    def units(self) -> list[Unit]:
        return units_of(self.flow, self.subject.net)

    def _x(self) -> Tensor:
        return self.subject.x.expand(self.T, *self.subject.x.shape) if self.encoding == "repeat" else self.subject.x

    def _whole(self) -> LiftedStep:
        return self._step("bptt", {})

    def _step(self, algorithm: str, options: OptionValues) -> LiftedStep:
        key = f"{algorithm} {options.get('segments')}"
        if key not in self._steps:
            step = training_step(self.subject.net, algorithm, optimizer=self.subject.optimizer, **options)
            step.share = "mean"  # known of the usual loss; it cannot be tried without values
            self._steps[key] = step
        return self._steps[key]

    def count(self, algorithm: str, options: OptionValues) -> Schedule:
        key = f"{algorithm} {options}"
        if key not in self._known:
            cost = self._cost(algorithm, options)
            self._known[key] = Schedule(algorithm, options, cost.memory.total, sum(cost.macs.dense.values()))
        return self._known[key]

    def _cost(self, algorithm: str, options: OptionValues) -> Cost:
        inner = {name: value for name, value in options.items() if name != "layers"}
        step, x = self._step(algorithm, inner), self._x()
        net = step.lifted(x)
        groups = options.get("layers")
        with ExitStack() as stack:
            if groups is not None:
                step.run_in_depth(self.flow, groups)
                stack.callback(step.run_in_depth, None, None)
            return self.subject.count(lambda watcher: step(x, self.subject.target, watcher), [(net, net.carried)], settled=True)

    # ----------------------------------------------------------------------- schedules

    def free(self) -> Schedule:
        return self._of(1, ())

    def least(self) -> Schedule:
        """Return the schedule of fewest bytes that is known after the model has been asked for the least."""
        low, high = 0.0, float(self.free().peak)
        for _ in range(24):
            middle = (low + high) / 2
            low, high = (middle, high) if cheapest(self.model, middle) is None else (low, middle)
        self.proposed(high)
        self._of(1, [Recompute(unit.first, unit.last) for unit in self.units])
        return min(self._known.values(), key=lambda each: (each.peak, each.macs))

    def proposed(self, live: float) -> list[Schedule]:
        groups = cheapest(self.model, live)
        return [] if groups is None else [self._of(1, groups)]

    def within(self, live: float) -> Iterator[Schedule]:
        """Yield schedules from the cheapest on; the caller takes the first that fits."""
        yield self.count("bptt", {})
        yield self.free()
        asked = live
        for _ in range(5):
            for each in self.proposed(asked):
                yield each
                asked *= min(live / each.peak, 0.99)
        yield from self._segmented(live)
        yield self.least()

    def _segmented(self, live: float) -> Iterator[Schedule]:
        try:
            require("checkpointed", self.subject.recognised)
        except UserError:
            return
        segments = 2
        while segments <= self.T:
            yield self._of(segments, None)
            yield self._of(segments, ())
            segments = min(2 * segments, self.T) if segments < self.T else self.T + 1
        yield self._of(self.T, [Recompute(unit.first, unit.last) for unit in self.units])

    def _of(self, segments: int, groups: Sequence[Recompute] | None) -> Schedule:
        layers = {} if groups is None else {"layers": [str(group) for group in groups]}
        return self.count("checkpointed", {"segments": segments, **layers})

    @cached_property
    def model(self) -> Model:
        element = self.batch * self._word
        sizes = [(unit.x * element, unit.y * element) for unit in self.units]
        kept, fixed = taken(self._trace(()), sizes)
        again, _ = taken(self._trace([Recompute(unit.first, unit.last) for unit in self.units]), sizes)
        return Model(self.units, kept, again, fixed, element, self.batch)

    @property
    def _word(self) -> int:
        return self.subject.x.element_size()

    def _trace(self, groups: Sequence[Recompute]) -> Timeline:
        it, marks = self.subject, Marks(self.units)
        trace = Timeline(lambda: marks.place)
        trace.mark([*it.net.parameters(), *held_tensors(it.net), it.x, it.target], "parameters")
        if it.optimizer is not None:
            trace.mark(tensors([list(state.values()) for state in it.optimizer.state.values()]), "optimizer state")
        depth = depth_of(it.net, self.flow, groups, Unwatched())
        step, x = self._whole(), self._x()
        recognised = step.lifted(x).recognised
        with (
            depth.applied(forgetting=recognised.time == "multi-step"),
            marks.watching(lambda path: depth.places.get(path, it.net.get_submodule(path))),
            watching(trace),
        ):
            step(x, it.target)
        return trace

    @cached_property
    def bound(self) -> Bound:
        it = self.subject
        norms = [part for part in self.flow.parts.values() if part.kind in NORMS and part.mixes]
        largest = max(norms, key=lambda part: part.sizes[0], default=None)
        norm = 0 if largest is None else largest.sizes[0] * self.batch * self._word
        given = it.x.untyped_storage().nbytes() + it.target.nbytes
        return Bound(weights_of(it), given, norm, "" if largest is None else largest.path)
