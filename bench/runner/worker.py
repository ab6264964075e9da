"""Runs one case in its own process, so that cases do not affect one another."""

from __future__ import annotations

import errno
import hashlib
import multiprocessing
import os
import signal
import threading
import traceback
import warnings
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

from bench.case import Case
from bench.errors import YES, Support, Unavailable, UserError, no
from bench.measurement import Measurement
from bench.plan import conditions, digest_of
from bench.record import Status, together
from bench.registry import PROBES, Device
from bench.runner.checkpoints import standing
from bench.seeds import seed_of

if TYPE_CHECKING:
    from bench.probes.resources import Resources

FORECAST = 1.3  # factor over live bytes, for workspaces of operators and rounding of the allocator

# Imported once by the fork server, so that a case starts in milliseconds. A missing framework is not an error here.
# The torch._... modules would otherwise be imported in every case, by its first optimizer and first meta tensor.
PRELOAD = [
    "torch", "torch._decomp.decompositions", "torch._dynamo", "torch._inductor.utils", "torch._meta_registrations",
    "torch.utils.flop_counter", "snntorch", "spikingjelly.activation_based.learning.online_learning",
    "bench.probes.cost", "bench.probes.equivalence", "bench.probes.train",
    "bench.zoo.vgg", "bench.zoo.resnet", "bench.zoo.nf_resnet", "bench.zoo.recurrent",
]  # fmt: skip


@dataclass(frozen=True)
class Job:
    """The input of a worker: the case, the folders of data and prepared data (None: default), and of checkpoints.

    ``processes`` that share each batch of a training.
    """

    case: Case
    data_root: Path | None
    scratch: Path
    cache: Path | None = None
    processes: int = 1


@dataclass(frozen=True)
class Outcome:
    """The answer of a worker: measurements, or the reason why there are none, with kernel and device.

    ``missing``: the package that has to be installed, if that is the reason.
    """

    status: Status
    reason: str
    measurements: tuple[Measurement, ...]
    kernel: str
    device: str
    threads: int
    precision: str
    missing: str = ""


def checkpoint_of(job: Job) -> Path:
    """Return the path of the checkpoint. It depends on the case and the code, so that training resumes only with equal code."""
    name = f"{job.case.key} {digest_of(job.case, job.processes)}" + (f" {job.processes}" if job.processes > 1 else "")
    return job.scratch / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.checkpoint"


def draft_of(job: Job) -> Path:
    """Return the file into which a checkpoint is written before it gets its name (bench/training.py)."""
    return checkpoint_of(job).with_suffix(".new")


def work(job: Job, channel: Connection) -> None:
    """Entry point of the process: measure and send an Outcome, also after an exception; after a full disk, what was full."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; only the run handles it
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    try:
        channel.send(("outcome", _outcome(job, channel)))
    except FullDiskError as error:
        channel.send(("full disk", str(error)))
    channel.close()


class FullDiskError(Exception):
    """There is no space left: no other case would end either."""


def _end_with_the_run() -> None:
    """Make the worker end when the run is killed; otherwise it would keep using the machine during the next run."""
    run = multiprocessing.parent_process()
    if run is not None:
        run.join()
        os._exit(1)


def _outcome(job: Job, channel: Connection) -> Outcome:
    import torch

    case, probe = job.case, PROBES[job.case.probe]
    torch.manual_seed(seed_of(case.key))
    torch.set_num_threads(conditions(case, None).threads)
    kernel, device = "", _device(probe.device)

    def outcome(status: Status, reason: str, measurements: tuple[Measurement, ...] = ()) -> Outcome:
        name = torch.cuda.get_device_name() if device == "cuda" else device
        name = together(name, job.processes)
        return Outcome(status, reason, measurements, kernel, name, torch.get_num_threads(), probe.precision)

    try:
        supported = _supported(case)
        if not supported:
            return outcome("unsupported", supported.reason)
        from bench import backends, zoo

        kernel = backends.kernel_of(backends.load(case.backend), zoo.spec(case.network))
        fits = _fits(case)
        if not fits:
            return outcome("refused", fits.reason)
        if checkpoint_of(job).exists():
            standing(checkpoint_of(job))  # a damaged one is refused by its name
        return outcome("ok", "", tuple(_measure(job, channel, device)))
    except Unavailable as error:
        return replace(outcome("unsupported", str(error)), missing=error.missing)
    except UserError as error:
        _require_space(job, error)
        return outcome("failed", str(error))
    except (MemoryError, torch.OutOfMemoryError) as error:
        return outcome("out of memory", _first_line(error))
    except Exception as error:
        if "can't allocate memory" in str(error):  # the CPU allocator's RuntimeError
            return outcome("out of memory", _first_line(error))
        _require_space(job, error)
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        return outcome("failed", f"{type(error).__name__}: {error} ({place})")


def _require_space(job: Job, error: Exception) -> None:
    """Raise FullDiskError if an error was caused by a full disk. torch.save hides that cause in one of its own."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
            remedy = f"{cause}, while {job.case.key} wrote to {job.scratch}: free some space and repeat the command"
            said = str(error) if isinstance(error, UserError) else remedy
            raise FullDiskError(f"{said}. What was finished before is kept") from error
        cause = cause.__cause__ or cause.__context__


def _first_line(error: Exception) -> str:
    """Return the first line of an error's message, or a replacement if it is empty, as for Python's MemoryError."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def _supported(case: Case) -> Support:
    from bench.probes.check import check

    return check(case)


def _fits(case: Case) -> Support:
    """Return whether the case fits into the free memory, by a forecast of its bytes on real tensors."""
    if not PROBES[case.probe].steps:
        return YES
    import psutil

    needed, free = forecast(case), psutil.virtual_memory().available
    if needed <= free:
        return YES
    return no(f"forecast {needed / 2**30:.1f} GiB at T = {case.T}, batch {case.batch}; {free / 2**30:.1f} GiB are free")


def forecast(case: Case) -> int:
    """Return the bytes that a training step of ``case`` will need on real tensors: exact live bytes times FORECAST."""
    from bench.counting.step import batch_for, cost_of
    from bench.training_step import training_step

    step = training_step(case.network, case.algorithm, case.backend, device="meta", **case.algorithm_options)
    return int(FORECAST * cost_of(step, *batch_for(step, case.T, case.batch, "meta")).memory.total)


def _measure(job: Job, channel: Connection, device: str) -> list[Measurement]:
    from bench import probes
    from bench.datasets.real import RealData
    from bench.probes.resources import Resources

    data = RealData(job.case, job.data_root, job.cache)
    threads = conditions(job.case, None).threads
    resources = Resources(data, device, threads, checkpoint_of(job), lambda progress: channel.send(("progress", progress)))
    if job.processes > 1:
        _train_together(job, resources)  # to the end: the probe then measures what the last checkpoint holds
    return probes.load(job.case.probe).measure(job.case, resources)


def _train_together(job: Job, resources: Resources) -> None:
    from bench.parallel.launch import Rank, train_together
    from bench.probes.train import Options

    loop = Options.named("probe training", job.case.probe_options)
    first = Rank(
        job.case, job.data_root, job.cache, resources.device, resources.threads, loop.epochs, loop.accumulate,
        checkpoint_of(job), job.processes,
    )  # fmt: skip
    train_together(first, resources.report)


def _device(wanted: Device) -> str:
    """Return the torch device here for a probe's ``device`` (see ``bench.registry.Probe``)."""
    import torch

    gpu = torch.cuda.is_available()
    match wanted:
        case "meta" | "cpu":
            return wanted
        case "best":
            return "cuda" if gpu else "cpu"
        case "cuda":
            return "cuda" if gpu else "none"
