"""Several processes that train copies of one module, each on its own samples (torch.distributed, as with torchrun).

    gradient = sum over processes r of  B_r / (B_1 + B_2 + ...) * gradient_r        B_r: samples of process r

This is the gradient of the mean over all samples, if the loss of a process is the mean over its own. It is formed at every update
of the weights: once per batch, or after every window or time step of an algorithm that updates there. At the first step weights
and buffers become those of the first process; buffers, such as the running averages of batch norm, also at every later one.

Each process takes the statistics of batch norm from its own samples, and draws its own dropout masks (and time steps, SLTT-k): a
network that has them is trained otherwise than by one process on all samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor

from bench.errors import UserError


@dataclass
class Processes:
    """A group of processes, and the ``share`` of this one in the samples of the present batch."""

    group: dist.ProcessGroup
    share: float = 1.0

    def begin(self, values: Iterable[Tensor], samples: int) -> None:
        """Take over the first process's values, and learn this one's share of all samples."""
        source = dist.get_global_rank(self.group, 0)
        with self._together():
            kept = list(values)
            sizes = torch.tensor([float(samples)], device=kept[0].device if kept else "cpu")
            dist.all_reduce(sizes, group=self.group)
            self.share = samples / float(sizes)
            for value in kept:
                dist.broadcast(value.detach(), source, group=self.group)

    def average(self, weights: Iterable[Tensor]) -> None:
        """Replace gradients by those of the mean over all samples, in place: no second copy of them is held."""
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        with self._together():
            running = [dist.all_reduce(gradient.mul_(self.share), group=self.group, async_op=True) for gradient in gradients]
            for each in running:
                assert each is not None, "async_op returns what can be waited for"
                each.wait()

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            rank, size = dist.get_rank(self.group), dist.get_world_size(self.group)
            raise UserError(
                f"process {rank} of {size} cannot reach the others ({error}): one has ended or trains another number of "
                "batches; look for its error, give every process the same number of batches, and start all of them again"
            ) from error


def processes_of(group: dist.ProcessGroup | None) -> Processes | None:
    """Return the processes of a group that this process belongs to; None for none. Raises UserError for anything else."""
    if group is None:
        return None
    if not dist.is_available() or not dist.is_initialized():
        raise UserError("process_group without processes: call torch.distributed.init_process_group first, or leave it out")
    if not isinstance(group, dist.ProcessGroup) or dist.get_rank(group) < 0:
        raise UserError(f"process_group = {group!r}: give a group that this process is in, such as torch.distributed.group.WORLD")
    return Processes(group)
