"""A training that is killed at random moments loses what came after its last checkpoint, and no more."""

from __future__ import annotations

import multiprocessing
import random
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.runner.checkpoints import Standing, standing
from bench.runner.run import PRELOAD
from tests.runner.logged_training import CASE, ENTRY, EPOCHS, EVERY_S, train

pytest.importorskip("sklearn", reason="the digits are part of scikit-learn")

KILLS = 10


def start(checkpoint: Path, log: Path) -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    process = context.Process(target=train, args=(checkpoint, log))
    process.start()
    return process


def entries(log: Path) -> list[tuple[int, float]]:
    """Return (images done, time) of every batch."""
    contents = log.read_bytes() if log.exists() else b""
    return list(ENTRY.iter_unpack(contents[: len(contents) // ENTRY.size * ENTRY.size]))


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = torch.load(checkpoint, weights_only=True)["weights"]
    return found


@pytest.mark.slow
def test_training_killed_ten_times_loses_what_came_after_its_last_checkpoint(tmp_path: Path) -> None:
    chance = random.Random("killed at random moments")
    killed = tmp_path / "killed"
    before = Standing()
    for kill in range(KILLS):
        log = tmp_path / f"log {kill}"
        process = start(killed, log)
        while not entries(log) and process.is_alive():
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.1))
        assert process.is_alive(), "the training ended before it was killed"
        process.kill()
        process.join()
        done = entries(log)
        assert done[0][0] == before.samples + CASE.batch, "it did not go on from the last checkpoint"
        after = standing(killed) if killed.exists() else Standing()
        assert before.samples <= after.samples <= done[-1][0]
        if after.samples > before.samples:
            longest = max((b - a for (_, a), (_, b) in pairwise(done)), default=0.0)
            assert done[-1][1] - killed.stat().st_mtime <= EVERY_S + 2 * longest
        before = after
    assert before.samples > 0

    whole = tmp_path / "whole"
    for checkpoint in (killed, whole):
        process = start(checkpoint, tmp_path / f"log of {checkpoint.name}")
        process.join()
        assert process.exitcode == 0
        assert standing(checkpoint).epochs == EPOCHS
    assert entries(tmp_path / "log of killed")[0][0] == before.samples + CASE.batch
    assert entries(tmp_path / "log of whole")[0][0] == CASE.batch
    one, other = weights(killed), weights(whole)
    assert all(torch.equal(one[name], other[name]) for name in other)
