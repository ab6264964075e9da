"""A group of processes that train copies of one network, each on its own samples: sums over them (torch.distributed)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch.distributed as dist
from torch import Tensor

from bench.errors import UserError

ALONE = "cannot reach the others"  # what a process says when another has ended


@dataclass(frozen=True)
class Processes:
    """This process in its group. Every process must call the same methods in the same order."""

    group: dist.ProcessGroup

    @property
    def rank(self) -> int:
        return dist.get_rank(self.group)

    @property
    def size(self) -> int:
        return dist.get_world_size(self.group)

    def total(self, values: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in place: no second copy is held."""
        with self._together():
            running = [dist.all_reduce(value, group=self.group, async_op=True) for value in values]
            for each in running:
                assert each is not None, "async_op returns what can be waited for"
                each.wait()

    def take_from_first(self, values: Iterable[Tensor]) -> None:
        """Replace each tensor by the first process's, in place."""
        with self._together():
            for value in values:
                dist.broadcast(value.detach(), dist.get_global_rank(self.group, 0), group=self.group)

    @contextmanager
    def _together(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise UserError(
                f"process {self.rank} of {self.size} {ALONE} ({error}): one has ended or trains another number of batches; look "
                "for its error, give every process the same number of batches, and start all of them again"
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
