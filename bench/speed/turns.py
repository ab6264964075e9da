"""One run of a workload: its rows are timed in turns."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from bench.probes.cost import batch_for, cost_of
from bench.spec import YES, Support, UserError, no
from bench.speed.rows import FLOOR, Row, Workload, rows
from bench.training_step import support, training_step

WARM_UP = 2
LEAST, MOST = 5, 25  # turns, as many as fit into ENOUGH: short steps are the noisiest and get most turns
ENOUGH = 60.0  # seconds of timed steps, all rows together
PAPER_BATCH = 128  # batch at which bytes are counted, independent of the batch that is timed


@dataclass(frozen=True)
class Timed:
    """``seconds`` of each turn, in order; exact ``peak_bytes`` and ``macs`` of a step at PAPER_BATCH (None for the floor)."""

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
    refused: Mapping[str, str] = field(default_factory=dict)  # row -> why it cannot run here


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


@contextmanager
def alone() -> Iterator[None]:
    """In this context, no other process of this user times a workload: it prints a message and waits."""
    path = Path(platformdirs.user_cache_dir("spikecost")) / "timing.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(path)
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print("another process times a workload on this machine: waiting until it is done", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def run(workload: Workload, device: str, wanted: Iterable[Row] | None = None) -> Run:
    """Time all rows (or those wanted) that can run. After a warm-up, every turn runs each row once."""
    asked = list(rows(workload) if wanted is None else wanted)
    refused = {str(row): answer.reason for row in asked if not (answer := able(workload, row))}
    kernels: dict[Row, str] = {}
    with ExitStack() as stack:
        stack.enter_context(alone())
        workers: dict[Row, subprocess.Popen[str]] = {}
        for row in asked:
            if str(row) not in refused:
                workers[row] = stack.enter_context(_started(workload, row, device))
        for row, worker in workers.items():
            kernels[row] = _said(worker, row).removeprefix("ready ")
        for _ in range(WARM_UP):
            _turn(workers)
        turns: list[dict[Row, float]] = []
        while len(turns) < LEAST or (len(turns) < MOST and sum(sum(turn.values()) for turn in turns) < ENOUGH):
            turns.append(_turn(workers))
        for worker in workers.values():
            assert worker.stdin is not None
            worker.stdin.close()
    timed = [Timed(row, kernels[row], tuple(turn[row] for turn in turns), *_counted(workload, row)) for row in workers]
    return Run(workload, device, tuple(timed), refused)


def _started(workload: Workload, row: Row, device: str) -> subprocess.Popen[str]:
    asked: dict[str, Any] = {"network": workload.network, "T": workload.T, "batch": workload.batch, "device": device}
    asked["row"] = [row.algorithm, row.backend, dict(row.options)]
    command = [sys.executable, "-W", "ignore", "-m", "bench.speed.worker", json.dumps(asked)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _turn(workers: Mapping[Row, subprocess.Popen[str]]) -> dict[Row, float]:
    """Run one step of every row, one after the other; return the seconds by row."""
    seconds = {}
    for row, worker in workers.items():
        assert worker.stdin is not None
        worker.stdin.write("step\n")
        worker.stdin.flush()
        seconds[row] = float(_said(worker, row))
    return seconds


def _said(worker: subprocess.Popen[str], row: Row) -> str:
    assert worker.stdout is not None
    line = worker.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"the process that times {row} ended with exit status {worker.wait()}; see its output above")
    return line


def _counted(workload: Workload, row: Row) -> tuple[int | None, int | None]:
    if row.algorithm == FLOOR:
        return None, None
    step = training_step(workload.network, row.algorithm, row.backend, device="meta", **dict(row.options))
    cost = cost_of(step, *batch_for(step, workload.T, PAPER_BATCH, "meta"))
    return cost.memory.total, sum(cost.macs.dense.values())
