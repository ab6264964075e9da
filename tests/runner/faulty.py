"""Faulty workers, in a separate module so that other processes can import them by name.

Each fails only for cases with T = 2.
"""

from __future__ import annotations

import errno
import os
import signal
import struct
import time
from multiprocessing.connection import Connection
from typing import Any

from bench.errors import UserError
from bench.measurement import Measurement
from bench.runner import worker
from bench.runner.worker import Job, Outcome


def _answer(job: Job, channel: Connection) -> Outcome:
    """Return an arbitrary value, without torch."""
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
    """Wait far longer than allowed; write the process id to the scratch folder."""

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


def saves_itself(job: Job, channel: Connection) -> None:
    """Write a checkpoint, then begin to write the next one and wait."""
    job.scratch.mkdir(parents=True, exist_ok=True)
    worker.draft_of(job).write_text("saved")
    worker.draft_of(job).rename(worker.checkpoint_of(job))
    worker.draft_of(job).write_text("half")
    time.sleep(200)


def has_no_space(job: Job, channel: Connection) -> None:
    """Find the disk full, as a training does when it saves itself."""
    from bench.probes import count

    def full(case: Any, resources: Any) -> Any:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            raise UserError(f"checkpoint x cannot be written: {error}; free some space") from error

    if job.case.T == 2:
        count.measure = full
    worker.work(job, channel)


def has_no_space_in_torch(job: Job, channel: Connection) -> None:
    """Find the disk full as torch.save tells it where some of the file was written: by an error of its own."""
    from bench.probes import count

    def full(case: Any, resources: Any) -> Any:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            raise RuntimeError("unexpected pos 704 vs 598")  # noqa: B904  # the cause is the context alone

    if job.case.T == 2:
        count.measure = full
    worker.work(job, channel)


def chatters(job: Job, channel: Connection) -> None:
    """Report progress far longer than allowed."""
    for _ in range(1000 if job.case.T == 2 else 0):
        channel.send(("progress", "still there"))
        time.sleep(0.01)
    quick(job, channel)


def has_no_memory(job: Job, channel: Connection) -> None:
    """Raise Python's MemoryError, which has no message."""
    from bench.probes import count

    def fail(case: Any, resources: Any) -> Any:
        raise MemoryError

    if job.case.T == 2:
        count.measure = fail
    worker.work(job, channel)
