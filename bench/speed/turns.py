"""The rows of a workload, timed in turns, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import filelock
import platformdirs

from bench.errors import UserError
from bench.places import CODE
from bench.speed import timing, worker
from bench.speed.rows import Row, Workload

LEAST, MOST = 6, 25  # turns, as many as fit into ENOUGH: short steps are the noisiest and get most turns
ENOUGH = 60.0  # seconds of timed steps, all rows together


@dataclass(frozen=True)
class Timed:
    """The ``seconds`` of a row in each turn, in order."""

    row: Row
    kernel: str
    seconds: tuple[float, ...]


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


def run(workload: Workload, rows: Iterable[Row], device: str, threads: int, turns: int | None = None) -> list[Timed]:
    """Time ``rows``, each in a process with ``threads`` CPU threads. Every turn runs each row once.

    ``turns``: number of turns; default: as many as fit into ENOUGH seconds, between LEAST and MOST. A time includes the message
    to the row's process, its step, and the answer. Raises UserError if a process ends early.
    """
    if turns is not None:
        timing.require_turns(turns)
    with alone(), ExitStack() as stack:
        workers = {row: stack.enter_context(_started(workload, row, device, threads)) for row in rows}
        kernels = {row: _answer(worker, row) for row, worker in workers.items()}
        steps = {str(row): partial(_step, worker, row) for row, worker in workers.items()}
        seconds = timing.in_turns(steps, turns) if turns is not None else _as_many_as_fit(steps)
    return [Timed(row, kernel, tuple(seconds[str(row)])) for row, kernel in kernels.items()]


def _as_many_as_fit(steps: Mapping[str, Callable[[], None]]) -> dict[str, list[float]]:
    seconds = timing.in_turns(steps, LEAST)
    one = sum(map(sum, seconds.values())) / LEAST
    further = min(MOST, int(ENOUGH / one) if one else 0) - LEAST
    if further >= timing.LEAST:
        for name, more in timing.in_turns(steps, further).items():
            seconds[name] += more
    return seconds


@contextmanager
def _started(workload: Workload, row: Row, device: str, threads: int) -> Iterator[subprocess.Popen[str]]:
    """Start the process of a row and end it afterwards. It has its own session, so that Ctrl-C reaches only the run."""
    asked = {
        "workload": [workload.network, workload.T, workload.batch],
        "row": [row.algorithm, row.backend, dict(row.options)],
        "device": device,
        "threads": threads,
    }
    command = [sys.executable, "-W", "ignore", "-m", worker.__name__, json.dumps(asked)]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=CODE, start_new_session=True, **pipes)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            assert pipe is not None
            with suppress(BrokenPipeError):
                pipe.close()


def _step(process: subprocess.Popen[str], row: Row) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):  # the process has ended; _answer reports it
        process.stdin.write("step\n")
        process.stdin.flush()
    _answer(process, row)


def _answer(process: subprocess.Popen[str], row: Row) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise UserError(f"the process that times {row} ended with exit status {process.wait()}; see its output above")
    return line
