"""One run of a workload: its rows in turns."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from bench.probes.cost import batch_for, cost_of
from bench.spec import YES, Support, UserError, no
from bench.speed.rows import FLOOR, Row, Workload, rows
from bench.training_step import support, training_step

REPEATS, WARM_UP = 5, 2
PAPER_BATCH = 128  # bytes are counted at this size, whatever the size timed


@dataclass(frozen=True)
class Timed:
    """``seconds`` of each repeat, in order; ``peak_bytes`` and ``macs`` of a step at PAPER_BATCH, exact (None for the floor)."""

    row: Row
    kernel: str
    seconds: tuple[float, ...]
    peak_bytes: int | None
    macs: int | None

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)


@dataclass(frozen=True)
class Run:
    workload: Workload
    device: str
    timed: tuple[Timed, ...]
    refused: Mapping[str, str] = field(default_factory=dict)  # row: why it cannot run here

    def ratio(self, mine: Timed, other: Timed) -> tuple[float, float, float]:
        """(ratio of medians, lower and upper quartile of the ratios turn by turn): the noise stands beside the number."""
        turn_by_turn = [a / b for a, b in zip(mine.seconds, other.seconds, strict=True)]
        low, _, high = statistics.quantiles(turn_by_turn, n=4)
        return mine.median / other.median, low, high


def able(workload: Workload, row: Row) -> Support:
    if row.algorithm == FLOOR:
        return YES
    answer = support(workload.network, row.algorithm, row.backend)
    if answer:
        try:
            training_step(workload.network, row.algorithm, row.backend, device="meta", **dict(row.options))
        except UserError as error:
            return no(str(error))
    return answer


def run(workload: Workload, device: str, wanted: Iterable[Row] | None = None, repeats: int = REPEATS) -> Run:
    """Time every row (of those wanted) that can run, ``repeats`` times, one after the other in every turn, after a warm-up."""
    asked = list(rows(workload) if wanted is None else wanted)
    refused = {str(row): answer.reason for row in asked if not (answer := able(workload, row))}
    seconds: dict[Row, list[float]] = {}
    kernels: dict[Row, str] = {}
    with ExitStack() as stack:
        workers: dict[Row, subprocess.Popen[str]] = {}
        for row in asked:
            if str(row) not in refused:
                workers[row] = stack.enter_context(_started(workload, row, device))
        for row, worker in workers.items():
            kernels[row] = _said(worker, row).removeprefix("ready ")
        for turn in range(WARM_UP + repeats):
            for row, worker in workers.items():
                assert worker.stdin is not None
                worker.stdin.write("step\n")
                worker.stdin.flush()
                took = float(_said(worker, row))
                if turn >= WARM_UP:
                    seconds.setdefault(row, []).append(took)
        for worker in workers.values():
            assert worker.stdin is not None
            worker.stdin.close()
    timed = [Timed(row, kernels[row], tuple(seconds[row]), *_counted(workload, row)) for row in workers]
    return Run(workload, device, tuple(timed), refused)


def _started(workload: Workload, row: Row, device: str) -> subprocess.Popen[str]:
    asked: dict[str, Any] = {"network": workload.network, "T": workload.T, "batch": workload.batch, "device": device}
    asked["row"] = [row.algorithm, row.backend, dict(row.options)]
    command = [sys.executable, "-W", "ignore", "-m", "bench.speed.worker", json.dumps(asked)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _said(worker: subprocess.Popen[str], row: Row) -> str:
    assert worker.stdout is not None
    line = worker.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"the process that times {row} ended with exit status {worker.wait()}; its own words stand above")
    return line


def _counted(workload: Workload, row: Row) -> tuple[int | None, int | None]:
    if row.algorithm == FLOOR:
        return None, None
    step = training_step(workload.network, row.algorithm, row.backend, device="meta", **dict(row.options))
    cost = cost_of(step, *batch_for(step, workload.T, PAPER_BATCH, "meta"))
    return cost.memory.total, sum(cost.macs.dense.values())
