"""One of the processes that train a case together: ``python -m bench.parallel.rank FILE``, a pickled Rank of launch.py.

The first process writes its progress to standard output, one JSON object a line, and keeps the checkpoint of the training. Every
process ends when its standard input is closed: when the one that started it has ended. Whatever else is printed (by NCCL, by
compilers) goes where errors go.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import IO

import torch
import torch.distributed as dist

from bench.datasets.real import RealData
from bench.errors import UserError
from bench.nets.batch_norm import require_variance
from bench.parallel.launch import OUT_OF_MEMORY, Rank
from bench.parallel.step import in_parallel, require_samples
from bench.processes import Processes
from bench.progress import Progress
from bench.training import train
from bench.training_step import training_step

COLLECTIVES = {"cpu": "gloo", "cuda": "nccl"}  # by the device of a training


def main(job: Rank, report: Callable[[Progress], None]) -> None:
    """Train the case to its end. Raises what bench.training.train does."""
    case = job.case
    torch.set_num_threads(job.threads)
    data = RealData(case, job.data_root, job.cache)
    least = len(data.samples.train_y) % case.batch or case.batch
    require_samples(least, job.size)
    step = training_step(case.network, case.algorithm, case.backend, seed=case.seed, device=job.device, **case.algorithm_options)
    require_variance(step.trainable.spec, least // job.size)  # now, not at the end of the first epoch
    dist.init_process_group(COLLECTIVES[job.device], init_method=f"file://{job.meet}", rank=job.rank, world_size=job.size)
    group = dist.group.WORLD
    assert group is not None, "it has been made"
    step = in_parallel(step, case.algorithm, case.backend, Processes(group))
    train(
        case, step, data, epochs=job.epochs, accumulate=job.accumulate, checkpoint=job.checkpoint, report=report
    )  # fmt: skip
    dist.destroy_process_group()


def _tell(output: IO[str], progress: Progress) -> None:
    print(json.dumps(asdict(progress)), file=output, flush=True)


def _end_with_the_starter(folder: Path) -> None:
    """``folder``: of the files of all processes, which the starter could not remove."""
    sys.stdin.read()
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(1)


def _said(error: Exception) -> str:
    """An error in one line; one that is not the user's with its kind and place."""
    words = " ".join(str(error).split())
    if isinstance(error, UserError | FloatingPointError):
        return words
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {words} ({Path(where.filename).name}:{where.lineno})"


def _status(error: Exception) -> int:
    lacks_memory = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
    return OUT_OF_MEMORY if lacks_memory else 1


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    told = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    file = Path(sys.argv[1])
    threading.Thread(target=_end_with_the_starter, args=[file.parent], daemon=True).start()
    try:
        given: Rank = pickle.loads(file.read_bytes())
        main(given, partial(_tell, told) if given.rank == 0 else lambda _: None)
    except Exception as error:
        print(_said(error), file=sys.stderr, flush=True)
        os._exit(_status(error))  # at once: a process that waits for the others would be waited for
