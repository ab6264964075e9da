"""One of several processes that run the same training steps: rank, their number, file to meet at, file of results."""

from __future__ import annotations

import sys
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from bench.parallel.step import in_parallel
from bench.processes import Processes, processes_of
from bench.registry import ALGORITHMS
from bench.spec import NetworkSpec
from bench.training_step import TrainingStep, support, training_step

T, SAMPLES, BATCHES, SEED = 8, 5, 2, 3
NETWORKS = ("vgg5-small/digits", "vgg-sws-small/digits", "otpe-3x128/randman-k25")  # the first has dropout
OPTIONS: dict[str, dict[str, Any]] = {"skipper": {"segments": 1, "p": 25}, "ttl-bptt": {"K": 4, "b": 1}, "sltt-k": {"k": 3}}


def network_of(algorithm: str) -> str:
    return next(name for name in NETWORKS if support(name, algorithm, "native"))


def step_of(algorithm: str) -> TrainingStep:
    """In double precision, with weights for which every layer fires."""
    step = training_step(network_of(algorithm), algorithm, "native", lr=0.05, optimizer="sgd", **OPTIONS.get(algorithm, {}))
    step.net.double()
    with torch.no_grad():
        for weight in step.net.parameters():
            weight.mul_(3)
    return step


def batch(spec: NetworkSpec, number: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(number)
    x = 3 * torch.rand(T, SAMPLES, *spec.input, generator=generator, dtype=torch.float64)
    return x, torch.randint(spec.classes, (SAMPLES,), generator=generator)


def trained(algorithm: str, processes: Processes | None = None) -> dict[str, Tensor]:
    """Weights and outputs after two batches, and gradients of a third one."""
    step = step_of(algorithm)
    if processes is not None:
        step = in_parallel(step, algorithm, "native", processes)
    found: dict[str, Tensor] = {}
    for number in range(BATCHES):
        torch.manual_seed(SEED + number)
        found[f"outputs {number}"] = step.run(*batch(step.trainable.spec, number))
    found |= {name: value.detach().clone() for name, value in step.net.state_dict().items()}
    torch.manual_seed(SEED)
    step.gradients(*batch(step.trainable.spec, BATCHES))
    return found | {f"gradient of {name}": p.grad for name, p in step.net.named_parameters() if p.grad is not None}


def main(rank: int, size: int, meet: str, results: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{meet}", rank=rank, world_size=size)
    processes = processes_of(dist.group.WORLD)
    torch.save({algorithm: trained(algorithm, processes) for algorithm in ALGORITHMS}, results)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4])
