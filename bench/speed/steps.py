"""Builds the training step of a row, and counts its memory and MACs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from bench.counting.step import batch_for, cost_of
from bench.errors import YES, Support, UserError, no
from bench.speed.floor import convolutions_alone
from bench.speed.rows import FLOOR, Row, Workload
from bench.training_step import support, training_step


@dataclass(frozen=True)
class Step:
    """``run()`` trains on one batch and returns when the device has finished."""

    run: Callable[[], None]
    kernel: str


def able(workload: Workload, row: Row) -> Support:
    """Return whether a row can be timed on a workload, with the reason if not."""
    if row.algorithm == FLOOR:
        return YES
    try:
        answer = support(workload.network, row.algorithm, row.backend, T=workload.T, options=dict(row.options))
        if answer:
            training_step(workload.network, row.algorithm, row.backend, device="meta", **dict(row.options))
    except UserError as error:
        return no(str(error))
    return answer


def step_of(workload: Workload, row: Row, device: str) -> Step:
    """Return the step of a row with random input, on ``device`` 'cpu' or 'cuda'. Raises UserError if the row cannot run."""
    if row.algorithm == FLOOR:
        return Step(_synchronised(convolutions_alone(*_size(workload), device, row.backend), device), "torch")
    step = training_step(workload.network, row.algorithm, row.backend, device=device, **dict(row.options))
    x, target = batch_for(step, workload.T, workload.batch, device)
    return Step(_synchronised(lambda: step.run(x, target), device), step.kernel)


def counted(workload: Workload, row: Row, batch: int) -> tuple[int | None, int | None]:
    """Return exact (peak live bytes, dense MACs) of a step at ``batch``; None for the convolutions alone."""
    if row.algorithm == FLOOR:
        return None, None
    step = training_step(workload.network, row.algorithm, row.backend, device="meta", **dict(row.options))
    cost = cost_of(step, *batch_for(step, workload.T, batch, "meta"))
    return cost.memory.total, sum(cost.macs.dense.values())


def _size(workload: Workload) -> tuple[str, int, int]:
    return workload.network, workload.T, workload.batch


def _synchronised(run: Callable[[], object], device: str) -> Callable[[], None]:
    def whole() -> None:
        run()
        if device == "cuda":
            torch.cuda.synchronize()

    return whole
