"""A training that logs every batch, in a separate module so that another process can import it by name."""

from __future__ import annotations

import struct
import time
from pathlib import Path

from bench import training
from bench.case import Case
from bench.datasets.real import RealData
from bench.progress import Progress
from bench.training_step import training_step

EVERY_S = 0.03
CASE = Case(
    "tests", "training", "vgg-sws-small/digits", "ottt-a", "native", T=1, batch=4, dataset="digits",
    options=(("test_images", 6), ("train_images", 200)),
)  # fmt: skip
EPOCHS = 12
ENTRY = struct.Struct("!qd")  # images done, time


def train(checkpoint: Path, log: Path) -> None:
    training.CHECKPOINT_EVERY_S = EVERY_S
    with log.open("ab", buffering=0) as file:

        def report(progress: Progress) -> None:
            file.write(ENTRY.pack(progress.done, time.time()))

        step = training_step(CASE.network, CASE.algorithm, CASE.backend)
        training.train(CASE, step, RealData(CASE, None), epochs=EPOCHS, checkpoint=checkpoint, report=report)
