"""Counted training steps of a user's module, of any T and batch: as written, or by an algorithm of this suite."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import nn

from bench.algorithms.context import Watcher
from bench.counting.any_step import Cost
from bench.errors import UserError
from bench.lift.cost.measure import PRECISIONS, Precision, Usual, cross_entropy_of_mean
from bench.lift.cost.subject import Optimizer, Subject, subject
from bench.lift.recognition.parts import OptionValues
from bench.lift.recognition.timing import Encoding
from bench.lift.recognition.twin import Fake, Meta
from bench.lift.running.stepped import Lifted
from bench.lift.running.training import LiftedStep, training_step

_NO_VALUES = "it chooses time steps by their spikes, which need values that mixed precision is counted without: use float32"


@dataclass(frozen=True)
class Setting:
    """What the training steps of one comparison have in common; ``frame``: the shape of one time step of one sample."""

    module: nn.Module
    frame: tuple[int, ...]
    T: int
    batch: int
    encoding: Encoding
    optimizer: Optimizer
    precision: Precision = "float32"

    @contextmanager
    def subject(self) -> Iterator[Subject]:
        """In this context, a copy of the module without storage can be run."""
        kind = Meta() if self.precision == "float32" else Fake()
        with subject(self.module, self.optimizer, kind, self.frame, self.T, self.batch, self.encoding) as it:
            yield it


class Counts(Protocol):
    """Costs of training steps of one kind, with options that may differ; each is counted once."""

    def cost(self, T: int, batch: int, **options: object) -> Cost: ...


@dataclass
class AsWritten:
    """The module as its author runs it, with the cross entropy of the output averaged over time. It has no options."""

    it: Subject
    precision: Precision
    _known: dict[tuple[int, int], Cost] = field(default_factory=dict)

    def cost(self, T: int, batch: int, **options: object) -> Cost:
        if (T, batch) not in self._known:
            it, dtype = self.it.sized(T, batch), PRECISIONS[self.precision]
            run = Usual(it.recognised, T, it.encoding == "repeat", cross_entropy_of_mean, dtype, it.adapters)
            self._known[T, batch] = it.count(lambda _: run(it.net, it.optimizer, it.x, it.target))
        return self._known[T, batch]


@dataclass
class ByAlgorithm:
    """The module with explicit state, trained by an algorithm. Under mixed precision, the whole step runs under autocast."""

    it: Subject
    algorithm: str
    precision: Precision
    _known: dict[tuple[int, int, str], Cost] = field(default_factory=dict)
    _steps: dict[str, LiftedStep] = field(default_factory=dict)

    def cost(self, T: int, batch: int, **options: object) -> Cost:
        key = (T, batch, repr(sorted(options.items())))
        if key not in self._known:
            self._known[key] = self._count(self.it.sized(T, batch), T, options)
        return self._known[key]

    def lifted(self, T: int, **options: object) -> Lifted:
        """Return the module with explicit state, as checkpointing sees it."""
        net: Lifted = self._step(options).lifted(self.it.sequence(T))
        return net

    def _count(self, it: Subject, T: int, options: OptionValues) -> Cost:
        if self.algorithm == "skipper" and self.precision != "float32":
            raise UserError(_NO_VALUES)
        step, x = self._step(options), it.sequence(T)
        net = step.lifted(x)
        mixed: AbstractContextManager[object] = nullcontext()
        if self.precision != "float32":
            mixed = torch.autocast("cpu", PRECISIONS[self.precision])

        def run(watcher: Watcher | None) -> None:
            with mixed:
                step(x, it.target, watcher)

        return it.count(run, [(net, net.carried)], net.spiking(), step.update)

    def _step(self, options: OptionValues) -> LiftedStep:
        key = repr(sorted(options.items()))
        if key not in self._steps:
            step = training_step(self.it.net, self.algorithm, optimizer=self.it.optimizer, **options)
            step.share = "mean"  # known of the usual loss; it cannot be tried without values
            self._steps[key] = step
        return self._steps[key]
