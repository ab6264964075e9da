"""Starts the processes that train a case together on one machine, one per GPU, and waits for them."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from bench.case import Case
from bench.errors import UserError
from bench.places import CODE
from bench.processes import ALONE
from bench.progress import Progress

POLL_S, GRACE_S = 0.1, 1.0
OUT_OF_MEMORY = 3  # exit status


@dataclass(frozen=True)
class Rank:
    """What a process is given. ``checkpoint``: its own file; that of the first process is the training's."""

    case: Case
    data_root: Path | None
    cache: Path | None
    device: str
    threads: int
    epochs: int
    accumulate: int
    checkpoint: Path
    size: int
    rank: int = 0
    meet: Path = Path()


def train_together(first: Rank, report: Callable[[Progress], None]) -> None:
    """Train a case by ``first.size`` processes until its checkpoint is that of a finished training.

    Raises UserError, with what it said, if a process fails or is killed, MemoryError if it has too little memory; the others
    are then ended, and the checkpoint stays.
    """
    with tempfile.TemporaryDirectory(prefix="spikecost-") as name:
        folder = Path(name)
        ranks = [replace(first, rank=rank, meet=folder / "meet") for rank in range(first.size)]
        for rank in ranks[1:]:
            own = folder / f"{rank.rank}.checkpoint"
            if first.checkpoint.exists():  # all begin where the first one stopped
                shutil.copy(first.checkpoint, own)
            ranks[rank.rank] = replace(rank, checkpoint=own)
        errors = [(folder / f"{rank.rank}.error").open("w+", encoding="utf-8") for rank in ranks]
        started = [_start(rank, folder, error) for rank, error in zip(ranks, errors, strict=True)]
        reader = threading.Thread(target=_relay, args=(started[0].stdout, report))
        reader.start()
        try:
            while (codes := [process.poll() for process in started]).count(0) < len(started):
                if any(codes):
                    time.sleep(GRACE_S)  # so that it is known which one ended first
                    raise _failure(started, errors, first.checkpoint)
                time.sleep(POLL_S)
        finally:
            for process in started:
                process.kill()
                process.wait()
            reader.join()  # nothing is reported after the outcome
            for error in errors:
                error.close()


def _start(rank: Rank, folder: Path, error: IO[str]) -> subprocess.Popen[str]:
    job = folder / f"{rank.rank}.job"
    job.write_bytes(pickle.dumps(rank))
    line = [sys.executable, "-P", "-m", "bench.parallel.rank", str(job)]  # -P: no modules of the current folder
    output = subprocess.PIPE if rank.rank == 0 else subprocess.DEVNULL
    return subprocess.Popen(line, env=_environment(rank), stdin=subprocess.PIPE, stdout=output, stderr=error, text=True)


def _environment(rank: Rank) -> dict[str, str]:
    """Of a process: this code, and no GPU but its own, so that nothing is put on the first one (kernels, checkpoints)."""
    path = os.pathsep.join([str(CODE), *filter(None, [os.environ.get("PYTHONPATH")])])
    own = {"PYTHONPATH": path}
    if rank.device == "cuda":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        own["CUDA_VISIBLE_DEVICES"] = str(rank.rank) if visible is None else visible.split(",")[rank.rank].strip()
    return {**os.environ, **own}


def _relay(output: IO[str], report: Callable[[Progress], None]) -> None:
    for line in output:
        report(Progress(**json.loads(line)))


def _failure(started: Sequence[subprocess.Popen[str]], errors: Sequence[IO[str]], checkpoint: Path) -> Exception:
    """With what the process that failed by itself said, or what ended it."""
    said = []
    for rank, (process, error) in enumerate(zip(started, errors, strict=True)):
        error.seek(0)
        lines = error.read().strip().splitlines() or ["without a message"]
        if process.poll():
            ended = (
                f"was ended by {signal.Signals(-process.returncode).name}" if process.returncode < 0 else f"failed: {lines[-1]}"
            )
            what = f"process {rank} of {len(started)} {ended}"
            said.append((any(ALONE in line for line in lines), process.returncode != OUT_OF_MEMORY, what))
    _, other_cause, what = min(said)
    goes_on = "; the same command with --retry goes on from the checkpoint" if checkpoint.exists() else ""
    return (UserError if other_cause else MemoryError)(f"{what}. The others were ended too{goes_on}")
