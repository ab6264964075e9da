"""One of several processes that train a module together (test_processes.py): rank, their number, file to meet at, results."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent))
from nets import CLASSES, FRAME, NETS, seeded

from bench.errors import UserError
from bench.lift.running.training import LIFTED, training_step

T, SAMPLES, BATCHES, END = 4, 5, 2, 17
OPTIONS: dict[str, dict[str, Any]] = {"checkpointed": {"segments": 2}, "skipper": {"segments": 1, "p": 50}, "sltt-k": {"k": T}}


def batch(number: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(number)
    x = 3 * torch.rand(T, SAMPLES, *FRAME, generator=generator, dtype=torch.float64)
    return x, torch.randint(CLASSES, (SAMPLES,), generator=generator)


def trained(algorithm: str, rank: int = 0, size: int = 1, group: dist.ProcessGroup | None = None) -> dict[str, Tensor]:
    """The weights after training on this process's part of each batch; all but the first process begin with other weights."""
    net = seeded(NETS["sj-dense"][0]).double()
    if rank:
        nn.init.constant_(net[1].weight, rank)  # type: ignore[arg-type]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    step = training_step(net, algorithm, optimizer=optimizer, clip=0.5, process_group=group, **OPTIONS.get(algorithm, {}))
    for number in range(BATCHES):
        x, y = batch(number)
        step(x.tensor_split(size, 1)[rank], y.tensor_split(size)[rank])
    return {name: value.detach() for name, value in net.state_dict().items()}


def main(rank: int, size: int, meet: str, results: str, ends: bool) -> None:
    dist.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=size)
    group = dist.group.WORLD
    if ends:
        if rank == 0:
            try:
                for _ in range(1000):
                    trained("ottt-o", rank, size, group)
            except UserError as error:
                print(error, file=sys.stderr)
                os._exit(1)
        trained("ottt-o", rank, size, group)
        os._exit(END)  # as if it were killed
    torch.save({algorithm: trained(algorithm, rank, size, group) for algorithm in LIFTED}, results)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5] == "ends")
