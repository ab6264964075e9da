"""One of the processes that train a case together: ``python -m bench.parallel.rank FILE``, a pickled Rank of launch.py.

The first process writes its progress to standard output, one JSON object a line, and keeps the checkpoint of the training. Every
process ends when its standard input is closed: when the one that started it has ended.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import threading
import warnings
from dataclasses import asdict
from pathlib import Path

import torch
import torch.distributed as dist

from bench.datasets.real import RealData
from bench.errors import UserError
from bench.parallel.launch import Rank
from bench.parallel.step import in_parallel, require_samples
from bench.processes import Processes
from bench.progress import Progress
from bench.training import train
from bench.training_step import training_step


def main(job: Rank) -> None:
    """Train the case to its end. Raises what bench.training.train does."""
    case = job.case
    torch.set_num_threads(job.threads)
    device = f"cuda:{job.rank}" if job.device == "cuda" else job.device
    data = RealData(case, job.data_root, job.cache)
    require_samples(len(data.samples.train_y) % case.batch or case.batch, job.size)
    step = training_step(case.network, case.algorithm, case.backend, seed=case.seed, device=device, **case.algorithm_options)
    dist.init_process_group(
        "nccl" if job.device == "cuda" else "gloo", init_method=f"file://{job.meet}", rank=job.rank, world_size=job.size
    )
    group = dist.group.WORLD
    assert group is not None, "it has been made"
    step = in_parallel(step, case.algorithm, case.backend, Processes(group))
    train(
        case, step, data, epochs=job.epochs, accumulate=job.accumulate, checkpoint=job.checkpoint,
        report=_tell if job.rank == 0 else lambda _: None,
    )  # fmt: skip
    dist.destroy_process_group()


def _tell(progress: Progress) -> None:
    print(json.dumps(asdict(progress)), flush=True)


def _end_with_the_starter() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    threading.Thread(target=_end_with_the_starter, daemon=True).start()
    try:
        main(pickle.loads(Path(sys.argv[1]).read_bytes()))
    except (UserError, FloatingPointError) as error:
        print(error, file=sys.stderr)
        os._exit(1)  # at once: a process that waits for the others would be waited for
