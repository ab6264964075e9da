"""One run of a workload: its rows are timed in turns."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from bench.errors import UserError
from bench.places import CODE
from bench.probes import clock
from bench.speed.rows import Row, Workload, rows
from bench.speed.steps import able, counted

LEAST, MOST = 5, 25  # turns, as many as fit into ENOUGH: short steps are the noisiest and get most turns
ENOUGH = 60.0  # seconds of timed steps, all rows together
PAPER_BATCH = 128  # batch at which bytes are counted, independent of the batch that is timed


@dataclass(frozen=True)
class Timed:
    """``seconds`` of each turn, in order; ``peak_bytes`` and ``macs`` of a step at PAPER_BATCH, exact (None for the floor)."""

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
    threads: int | None = None  # per process; None if it was not stored

    @property
    def turns(self) -> int:
        return len(self.timed[0].seconds) if self.timed else 0


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


def run(workload: Workload, device: str, wanted: Iterable[Row] | None = None, turns: int | None = None) -> Run:
    """Time all rows (or those wanted) that can run. Every turn runs each row once.

    ``turns``: number of turns; default: as many as fit into ENOUGH seconds, between LEAST and MOST. A time includes the message
    to the row's process, its step, and the answer. Raises UserError if a process ends early.
    """
    if turns is not None:
        clock.require_turns(turns)
    asked = list(rows(workload) if wanted is None else wanted)
    refused = {str(row): answer.reason for row in asked if not (answer := able(workload, row))}
    with ExitStack() as stack:
        stack.enter_context(alone())
        workers = {row: stack.enter_context(_started(workload, row, device)) for row in asked if str(row) not in refused}
        told = {row: json.loads(_said(worker, row)) for row, worker in workers.items()}
        steps = {str(row): partial(_step, worker, row) for row, worker in workers.items()}
        seconds = clock.in_turns(steps, turns) if turns is not None else _as_many_as_fit(steps)
    timed = [Timed(row, told[row]["kernel"], tuple(seconds[str(row)]), *counted(workload, row, PAPER_BATCH)) for row in workers]
    return Run(workload, device, tuple(timed), refused, max((said["threads"] for said in told.values()), default=None))


def _as_many_as_fit(steps: Mapping[str, Callable[[], None]]) -> dict[str, list[float]]:
    seconds = clock.in_turns(steps, LEAST)
    one = sum(map(sum, seconds.values())) / LEAST
    further = min(MOST, int(ENOUGH / one) if one else 0) - LEAST
    if further >= clock.LEAST:
        for name, more in clock.in_turns(steps, further).items():
            seconds[name] += more
    return seconds


@contextmanager
def _started(workload: Workload, row: Row, device: str) -> Iterator[subprocess.Popen[str]]:
    """Start the process of a row and end it afterwards. It has its own session, so that Ctrl-C reaches only the parent."""
    asked = {
        "workload": [workload.network, workload.T, workload.batch],
        "row": [row.algorithm, row.backend, dict(row.options)],
        "device": device,
    }
    command = [sys.executable, "-W", "ignore", "-m", "bench.speed.worker", json.dumps(asked)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    worker = subprocess.Popen(command, cwd=CODE, start_new_session=True, **pipes)
    try:
        yield worker
    finally:
        worker.kill()
        worker.wait()
        for pipe in (worker.stdin, worker.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()


def _step(worker: subprocess.Popen[str], row: Row) -> None:
    assert worker.stdin is not None
    with suppress(BrokenPipeError):  # the process has ended; _said reports it
        worker.stdin.write("step\n")
        worker.stdin.flush()
    _said(worker, row)


def _said(worker: subprocess.Popen[str], row: Row) -> str:
    assert worker.stdout is not None
    line = worker.stdout.readline().strip()
    if not line:
        raise UserError(f"the process that times {row} ended with exit status {worker.wait()}; see its output above")
    return line
