"""Peaks of training steps of a user's module as functions of the batch.

At one operator of a training step the live bytes are a + b * batch. They are recorded at every operator for two batches, and the
peak is the largest of the lines through them (bench/planning/formulas.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from bench import algorithms
from bench.counting.any_step import Cost, make_optimizer_state
from bench.counting.tape import tensors, watching
from bench.counting.timeline import Timeline
from bench.errors import UserError
from bench.lift.cost.compare import AS_WRITTEN
from bench.lift.cost.counts import AsWritten, ByAlgorithm, Counts
from bench.lift.cost.measure import PRECISIONS, Precision, Usual, cross_entropy_of_mean
from bench.lift.cost.peaks import OfModule
from bench.lift.cost.subject import Subject
from bench.lift.recognition.parts import OptionValues
from bench.lift.recognition.trial import errors_located
from bench.lift.running.training import training_step
from bench.lift.running.update import Update
from bench.options import Declared
from bench.planning.formulas import Peak, Sizes, envelope

BATCHES = (32, 64)  # of which spikes fill whole words of bits, as in one-bit replay
Known = dict[tuple[str, int, str], Peak]


@dataclass(frozen=True)
class OfEveryBatch:
    """A user's module by an algorithm, or as written; satisfies ``bench.planning.coefficients.Counting``.

    ``known``: peaks by algorithm, T and options that have been counted; BPTT's are also those of one segment of checkpointing.
    """

    it: Subject
    rule: str  # an algorithm, or AS_WRITTEN
    precision: Precision
    named: OptionValues = field(default_factory=dict)
    known: Known = field(default_factory=dict)

    @property
    def algorithm(self) -> str:
        """Return the algorithm; a module as written is trained by BPTT."""
        return "bptt" if self.rule == AS_WRITTEN else self.rule

    @cached_property
    def options(self) -> Declared:
        found: Declared = algorithms.load(self.algorithm).Options.named(self.algorithm, dict(self.named))
        return found

    @cached_property
    def sizes(self) -> Sizes:
        return OfModule(ByAlgorithm(self.it, self.algorithm, self.precision), BATCHES[0], self.named).sizes

    def suits(self, T: int) -> bool:
        return max(getattr(self.options, name, 1) for name in ("K", "k")) <= T

    def by(self, algorithm: str) -> OfEveryBatch:
        return replace(self, rule=algorithm, named={})

    def cost(self, T: int, batch: int, **options: object) -> Cost:
        return self._counts.cost(T, batch, **{**self.named, **options})

    @cached_property
    def _counts(self) -> Counts:
        if self.rule == AS_WRITTEN:
            return AsWritten(self.it, self.precision)
        return ByAlgorithm(self.it, self.rule, self.precision)

    def peak(self, T: int, **options: object) -> Peak:
        """Return the peak for every batch. Raises UserError if it is no formula of the batch."""
        chosen = {**self.named, **options}
        key = (self.rule, T, repr(sorted(chosen.items())))
        if key not in self.known:
            low, high = (self.live(T, batch, **chosen) for batch in BATCHES)
            if len(low) != len(high):
                raise UserError(
                    f"{self.it.recognised.module} runs other operators for {BATCHES[1]} samples than for {BATCHES[0]}, "
                    "so that its memory is no formula of the batch"
                )
            slopes = [(b - a) / (BATCHES[1] - BATCHES[0]) for a, b in zip(low, high, strict=True)]
            lines = [(a - slope * BATCHES[0], slope) for a, slope in zip(low, slopes, strict=True)]
            self.known[key] = Peak(envelope(lines))
        return self.known[key]

    def live(self, T: int, batch: int, **options: object) -> list[int]:
        """Return the live bytes before and after every operator of a training step, after one step has run."""
        it = self.it.sized(T, batch)
        run, update = self._step(it, T, options)
        beside, classifiers = (None, None) if update is None else (update.beside, update.classifiers)
        optimizers = [each for each in (it.optimizer, beside) if each is not None]
        trained = it.net if classifiers is None else nn.ModuleList([it.net, classifiers])
        with it.kind.open(), errors_located(it.net), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # SLTT-K draws time steps: the same ones for every batch
            for optimizer in optimizers:
                if not optimizer.state:
                    make_optimizer_state(optimizer)
            run()
            trained.zero_grad(set_to_none=True)
            trace = Timeline()
            trace.mark(_held(it, trained, optimizers), "parameters")
            with watching(trace):
                run()
        return [live for moment in trace.moments() for live in (moment.before, moment.after)]

    def _step(self, it: Subject, T: int, options: OptionValues) -> tuple[Callable[[], object], Update | None]:
        dtype = PRECISIONS[self.precision]
        if self.rule == AS_WRITTEN:
            usual = Usual(it.recognised, T, it.encoding == "repeat", cross_entropy_of_mean, dtype, it.adapters)
            return lambda: usual(it.net, it.optimizer, it.x, it.target), None
        step, x = training_step(it.net, self.rule, optimizer=it.optimizer, **options), it.sequence(T)
        step.share = "mean"  # known of the usual loss; it cannot be tried without values
        step.lifted(x)  # makes the classifiers of blocks, whose optimizer has a state

        def run() -> None:
            mixed: AbstractContextManager[object] = nullcontext()
            if self.precision != "float32":
                mixed = torch.autocast("cpu", dtype)
            with mixed:
                step(x, it.target)

        return run, step.update


def _held(it: Subject, trained: nn.Module, optimizers: list[torch.optim.Optimizer]) -> Iterator[Tensor]:
    """Yield what exists before a step."""
    yield from (it.x, it.target, *trained.parameters(), *trained.buffers(), *it.state())
    for optimizer in optimizers:
        yield from tensors([list(kept.values()) for kept in optimizer.state.values()])
