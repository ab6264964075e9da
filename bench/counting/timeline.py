"""Live bytes of one training step, operator by operator: where the peak of counting/memory.py occurs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from torch import Tensor, nn
from torch._ops import OpOverload

from bench.counting.memory import LiveBytes
from bench.counting.tape import tensors, watching
from bench.training_step import TrainingStep


@dataclass(frozen=True)
class Moment:
    """One operator, with the live bytes ``before`` it allocates and ``after`` it; frees before it are included in ``before``."""

    operator: str
    place: object
    before: int
    after: int


class Timeline(LiveBytes):
    """``LiveBytes`` that also records a Moment per operator; ``where()`` returns the current place in the computation."""

    def __init__(self, where: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self._where = where
        self._ran: list[tuple[str, object, int, int]] = []  # operator, place, number of events before and after it

    def on_operator(self, op: OpOverload, args: Sequence[object], reads: list[Tensor], outputs: list[Tensor]) -> None:
        before = len(self._events)
        super().on_operator(op, args, reads, outputs)
        self._ran.append((str(op), self._where(), before, len(self._events)))

    def moments(self) -> list[Moment]:
        live = list(accumulate((change for _, change in self._events), initial=0))
        return [Moment(op, place, live[before], live[after]) for op, place, before, after in self._ran]


def timeline_of(step: TrainingStep, x: Tensor, target: Tensor, where: Callable[[], object] = lambda: None) -> Timeline:
    """Record a training step operator by operator, after one step has run: optimizer state exists, weights have changed."""
    step.run(x, target)
    trace = Timeline(where)
    trace.mark(step.net.parameters(), "parameters")
    trace.mark(held_tensors(step.net), "parameters")
    trace.mark([x, target], "inputs")
    trace.mark(tensors([list(state.values()) for state in step.optimizer.state.values()]), "optimizer state")
    with watching(trace):
        step.run(x, target)
    return trace


def held_tensors(net: nn.Module) -> Iterator[Tensor]:
    """Yield buffers, and tensors that modules hold as plain attributes, e.g. snnTorch's neurons from their last time step."""
    yield from net.buffers()
    for module in net.modules():
        yield from (value for value in vars(module).values() if isinstance(value, Tensor))
