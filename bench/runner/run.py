"""Runs cases, each in its own process, and stores each result as soon as it exists.

If a run is interrupted, finished cases are kept, and the next run measures only the missing ones. A case that crashes, or runs
out of memory or time, becomes a record with the reason, and the run continues.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Protocol

from bench.case import Case
from bench.errors import UserError
from bench.machine import gpu
from bench.plan import conditions
from bench.progress import Progress
from bench.record import Status, together
from bench.registry import PROBES
from bench.runner.limit import STOPPING_S, Limit
from bench.runner.worker import PRELOAD, Job, Outcome, checkpoint_of, draft_of, work

TIME_LIMIT_S = {"smoke": 300.0, "laptop": 1800.0, "night": 10800.0, "full": float("inf")}
BROKEN = ("crashed", "failed")  # neither a result nor a limit of this machine
EXIT_WAIT_S = 10  # time for a process to end after it has answered


class Listener(Protocol):
    """Receives the progress of a run."""

    def started(self, case: Case) -> None: ...
    def progress(self, case: Case, progress: Progress) -> None: ...
    def finished(self, case: Case, outcome: Outcome) -> None: ...


@dataclass
class _Worker:
    job: Job
    process: BaseProcess
    channel: Connection
    deadline: float
    outcome: Outcome | None = None
    timed_out: bool = False
    saved: int = 0  # when its checkpoint was written, as far as it was looked at


def run(
    cases: Sequence[Case],
    keep: Callable[[Case, Outcome], None],
    listener: Listener,
    *,
    data_root: Path | None,
    scratch: Path,
    workers: int,
    cache: Path | None = None,
    processes: int = 1,
    limit: Limit | None = None,
) -> None:
    """Run ``cases`` on ``workers`` processes; with a ``limit`` in their order, until it ends. ``processes``: of each training.

    ``keep`` stores an outcome; an exception that it raises ends the run, and nothing stored before is lost. A full disk ends it
    too, with a UserError.
    """
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")  # for the workers: GPUs in the driver's order, as in the plan
    here = gpu()
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    with ExitStack() as ignoring:  # they reach every process, and only the run handles them; its workers inherit this
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            ignoring.enter_context(_signal(number, signal.SIG_IGN))
        forkserver.ensure_running()
    pending = sorted(cases, key=_alone) if limit is None else list(cases)
    running: list[_Worker] = []

    def place(leaving: Sequence[_Worker]) -> int | None:
        if limit is not None:
            active = [r.job.case for r in (*running, *leaving)]
            return limit.next(pending, active, workers + len(leaving), time.monotonic())
        return 0 if pending and _may_start(pending[0], len(running), len(leaving), workers) else None

    def fill(leaving: Sequence[_Worker] = ()) -> None:
        while (next_ := place(leaving)) is not None:
            running.append(_start(context, Job(pending.pop(next_), data_root, scratch, cache, processes), listener))

    with _ending_on_sigterm():
        try:
            while pending or running:
                fill()
                if not running:
                    break  # nothing that is pending would end in time
                ended = _advance(running, listener)
                running = [r for r in running if r not in ended]
                if limit is not None:
                    stopped = [r for r in running if _stops(r, limit)]
                    running = [r for r in running if r not in stopped]
                    for one in stopped:
                        _kill(one)
                fill(leaving=ended)  # start the next ones before these end and are stored
                for done in ended:
                    _end(done)
                    outcome = done.outcome or _outcome_without_answer(done, here)
                    keep(done.job.case, outcome)
                    if outcome.status == "ok":  # otherwise the next run resumes from it
                        checkpoint_of(done.job).unlink(missing_ok=True)
                    listener.finished(done.job.case, outcome)
        finally:
            for left in running:
                _kill(left)


def _may_start(case: Case, running: int, leaving: int, workers: int) -> bool:
    """Whether a case may start now. Cases that run alone come last, so that no other case waits for them."""
    return running + leaving == 0 if _alone(case) else running < workers


def _alone(case: Case) -> bool:
    return PROBES[case.probe].alone


def _start(context: ForkServerContext, job: Job, listener: Listener) -> _Worker:
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(job, sender), daemon=True)
    process.start()
    sender.close()
    listener.started(job.case)
    return _Worker(job, process, receiver, time.monotonic() + TIME_LIMIT_S[job.case.scale])


def _advance(running: Sequence[_Worker], listener: Listener) -> list[_Worker]:
    """Wait briefly for messages; return the processes that have ended."""
    ready = wait([r.channel for r in running], timeout=1.0)
    ended = []
    for r in running:
        if r.channel in ready:
            try:
                kind, content = r.channel.recv()
            except (EOFError, OSError):  # the process ended; OSError: in the middle of a message
                ended.append(r)
                continue
            if kind == "progress":
                listener.progress(r.job.case, content)
            elif kind == "full disk":
                raise UserError(content)
            else:
                r.outcome = content
                ended.append(r)
                continue
        if time.monotonic() > r.deadline:
            r.process.kill()
            r.timed_out = True
            ended.append(r)
    return ended


def _stops(r: _Worker, limit: Limit) -> bool:
    """Whether the run's end stops a case now; notes when a training last saved itself before that end came near."""
    now, saved = time.monotonic(), _saved(r.job)
    if now < limit.ends - STOPPING_S:
        r.saved = saved
    return limit.stops(r.job.case, now, saved != r.saved)


def _saved(job: Job) -> int:
    """Return when the checkpoint was written, in ns; 0 if there is none."""
    try:
        return checkpoint_of(job).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _kill(r: _Worker) -> None:
    """End a process. A checkpoint that it was writing is removed; the one before it stays."""
    r.process.kill()
    r.process.join()
    r.channel.close()
    draft_of(r.job).unlink(missing_ok=True)


def _end(ended: _Worker) -> None:
    ended.process.join(timeout=EXIT_WAIT_S)
    ended.process.kill()
    ended.process.join()
    ended.channel.close()


def _outcome_without_answer(ended: _Worker, gpu: str | None) -> Outcome:
    """Return the outcome of a process that timed out or ended without an answer (mostly killed for lack of memory)."""
    used = conditions(ended.job.case, gpu)
    status, reason = _cause(ended)
    device = together(used.device, ended.job.processes)
    return Outcome(status, reason, (), "", device, used.threads, used.precision)


def _cause(ended: _Worker) -> tuple[Status, str]:
    code = ended.process.exitcode or 0
    if ended.timed_out:
        return "timeout", f"not done after {TIME_LIMIT_S[ended.job.case.scale]:.0f} s"
    if code == -signal.SIGKILL:
        return "out of memory", "killed by signal 9, as the kernel does when memory runs out"
    cause = f"signal {-code} ({signal.Signals(-code).name})" if code < 0 else f"exit code {code}"
    return "crashed", f"the process ended by {cause} without an answer"


@contextmanager
def _signal(number: signal.Signals, action: Callable[[int, FrameType | None], object] | signal.Handlers) -> Iterator[None]:
    before = signal.signal(number, action)
    try:
        yield
    finally:
        signal.signal(number, before)


def _ending_on_sigterm() -> AbstractContextManager[None]:
    """Handle SIGTERM like Ctrl-C, so that no worker is left behind, unless the caller handles it (a job on a cluster goes on)."""
    return _signal(signal.SIGTERM, _interrupt) if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL else nullcontext()


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
