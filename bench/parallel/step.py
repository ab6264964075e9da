"""A training step of one batch by several processes: each runs the algorithm on its own samples.

    gradient = sum over processes r of  B_r / B * gradient_r        B: samples of the batch, B_r: of process r

Every process is given the whole batch and takes its part, so that order, augmentation and encoding are those of one process. The
gradients are summed at every update of the weights: once per batch, or after every time step under OTTT-O. Dropout masks, the
time steps that SLTT-K draws, and the spikes by which Skipper chooses are those of the whole batch. So are the weights after it,
but for the order of sums. Unequal by design: batch norm takes its statistics from each process's own samples, and its running
averages are the first process's.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

from torch import Tensor, nn

from bench.algorithms.context import StepContext, Watcher
from bench.errors import UserError
from bench.nets.spiking import Neurons
from bench.options import Declared
from bench.parallel.masks import MasksOfTheBatch
from bench.parallel.spikes import with_spikes_of_the_batch
from bench.processes import Processes
from bench.registry import BACKENDS
from bench.training_step import TrainingStep


@dataclass(frozen=True)
class ParallelStep(TrainingStep):
    """A TrainingStep that ``processes`` run together; what it returns is that of the whole batch, in every process."""

    processes: Processes

    def forward_backward(
        self, x: Tensor, target: Tensor, update: Callable[[], None], weight: float = 1.0, watcher: Watcher | None = None
    ) -> Tensor:
        batch = len(target)
        mine = self._part(batch)
        self.processes.take_from_first(self.net.buffers())
        drops = any(isinstance(part, Neurons) and part.dropout for part in self.net.modules())
        with MasksOfTheBatch(mine, batch) if drops else nullcontext():
            share = (mine.stop - mine.start) / batch
            own = super().forward_backward(x[:, mine], target[mine], update, weight * share, watcher)
        out = own.new_zeros(batch, *own.shape[1:])
        out[mine] = own
        self.processes.total([out])
        return out

    def gradients(self, x: Tensor, target: Tensor) -> Tensor:
        """Leave the whole batch's gradients in ``.grad`` without updating the weights."""
        self.optimizer.zero_grad(set_to_none=True)
        out = self.forward_backward(x, target, lambda: None)
        self._sum_gradients()
        return out

    def update(self) -> None:
        self._sum_gradients()
        super().update()

    def _sum_gradients(self) -> None:
        self.processes.total([weight.grad for weight in self.net.parameters() if weight.grad is not None])

    def _part(self, batch: int) -> slice:
        """The samples of this process; the first ones have one more if they cannot be shared evenly."""
        require_samples(batch, self.processes.size)
        rank, (each, more) = self.processes.rank, divmod(batch, self.processes.size)
        begin = rank * each + min(rank, more)
        return slice(begin, begin + each + (rank < more))


def require_samples(batch: int, processes: int) -> None:
    """Raise UserError if a process would have no sample."""
    if batch < processes:
        raise UserError(
            f"a batch of {batch} for {processes} processes: each needs a sample of every batch, also of the last one of "
            "an epoch; use fewer processes or another batch"
        )


def in_parallel(step: TrainingStep, algorithm: str, backend: str, processes: Processes) -> ParallelStep:
    """Return the step as ``processes`` run it. Raises UserError for an implementation that a framework ships."""
    if BACKENDS[backend].ships:
        raise UserError(
            f"{backend} ships a training step of its own, which processes cannot share: use its neurons, or one process"
        )

    def train_step(net: nn.Module, x: Tensor, context: StepContext, options: Declared) -> Tensor:
        return step.train_step(with_spikes_of_the_batch(net, algorithm, processes), x, context, options)

    return ParallelStep(step.net, step.optimizer, train_step, step.kernel, step.recipe, processes)
