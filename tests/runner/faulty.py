"""What a worker may do wrong. A process finds these by name, so they stand in a module of their own.

Each goes wrong on the cases of T = 2 alone.
"""

from __future__ import annotations

import os
import signal
import struct
import time
from multiprocessing.connection import Connection
from typing import Any

from bench.runner import worker
from bench.runner.worker import Job, Outcome
from bench.spec import Measurement


def _answer(job: Job, channel: Connection) -> Outcome:
    """Any number, without torch."""
    return Outcome("ok", "", (Measurement("parameters", job.case.T, "1"),), "plain", "cpu", 1, "float32")


def quick(job: Job, channel: Connection) -> None:
    worker._outcome = _answer  # type: ignore[assignment]  # in this process alone
    worker.work(job, channel)


def quits(job: Job, channel: Connection) -> None:
    if job.case.T == 2:
        os._exit(7)
    quick(job, channel)


def segfaults(job: Job, channel: Connection) -> None:
    if job.case.T == 2:
        os.kill(os.getpid(), signal.SIGSEGV)
    quick(job, channel)


def is_killed(job: Job, channel: Connection) -> None:
    if job.case.T == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    quick(job, channel)


def is_killed_in_mid_word(job: Job, channel: Connection) -> None:
    if job.case.T == 2:
        os.write(channel.fileno(), struct.pack("!i", 1000) + b"the first of 1000 bytes")
        os._exit(1)
    quick(job, channel)


def hangs(job: Job, channel: Connection) -> None:
    """Waits far longer than it may; tells its process id in the scratch folder."""

    def wait(job: Job, channel: Connection) -> Any:
        job.scratch.mkdir(parents=True, exist_ok=True)
        draft = job.scratch / "draft"
        draft.write_text(str(os.getpid()))
        draft.rename(job.scratch / "pid")
        time.sleep(60)

    if job.case.T != 2:
        return quick(job, channel)
    worker._outcome = wait  # in this process alone
    return worker.work(job, channel)


def chatters(job: Job, channel: Connection) -> None:
    """Tells its progress far longer than it may."""
    for _ in range(1000 if job.case.T == 2 else 0):
        channel.send(("progress", "still there"))
        time.sleep(0.01)
    quick(job, channel)


def has_no_memory(job: Job, channel: Connection) -> None:
    """Python's own MemoryError, which has no text."""
    from bench.probes import count

    def fail(case: Any) -> Any:
        raise MemoryError

    if job.case.T == 2:
        count.measure = fail
    worker.work(job, channel)
