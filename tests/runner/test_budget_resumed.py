"""A training that a run's budget stops goes on in a copy of the project, and has the weights of an undisturbed one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import training
from bench.case import Case
from bench.datasets.real import RealData
from bench.progress import Progress
from bench.training_step import TrainingStep, training_step
from tests.runner.test_killed import project
from tests.runner.test_night_killed import PAPER_TOML

pytest.importorskip("sklearn", reason="the digits are part of scikit-learn")

BUDGETS_S = (40, 80, 160, 320)  # the first is enough on an idle machine
CASE = Case(
    "tiny", "training", "vgg-sws-small/digits", "ottt-a", "native", 2, 16, "digits", "full", 0,
    (("epochs", 2000), ("lr", 0.01), ("test_images", 50), ("train_images", 500)),
)  # fmt: skip
PLAN = f'"""One training that does not end."""\n\nfrom bench.case import Case\n\n\ndef cases(has):\n    return [{CASE!r}]\n'
SAVES = {  # in the copy, a training saves itself five times a second
    "bench/training.py": ("CHECKPOINT_EVERY_S = 15.0", "CHECKPOINT_EVERY_S = 0.2"),
    "bench/runner/checkpoints.py": ("EVERY_S = 15.0", "EVERY_S = 0.2"),
}


def tiny(root: Path) -> Path:
    copied = project(root).root
    shutil.rmtree(copied / "reproductions")
    own = copied / "reproductions" / "tiny"
    own.mkdir(parents=True)
    (own.parent / "__init__.py").touch()
    (own / "__init__.py").touch()
    (own / "cases.py").write_text(PLAN)
    (own / "paper.toml").write_text(PAPER_TOML)
    (own / "claims.toml").write_text("table = []\n")
    (own / "README.md").write_text("# tiny\n\n<!-- generated: claims -->\n<!-- end -->\n")
    for name, (old, new) in SAVES.items():
        text = (copied / name).read_text()
        assert old in text
        (copied / name).write_text(text.replace(old, new))
    return copied


def spend(root: Path, budget: int) -> str:
    """Run for so many seconds; return what was printed."""
    command = ["run", "tiny", "--scale", "full", "--budget", f"{budget}s", "--workers", "1"]
    began = time.time()
    ended = subprocess.run(
        [sys.executable, "-m", "spikecost", *command],
        cwd=root, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    last = max((path.stat().st_mtime for path in root.glob("results/scratch/*")), default=began)
    assert last - began < budget, "it did not stop in time"
    assert not list(root.glob("results/runs/*/tiny.jsonl")), "the training has not ended"
    return ended.stdout


def saved(root: Path) -> tuple[int, dict[str, Any]]:
    """Return the number of steps after which the training was saved, and what was saved."""
    found = list(root.glob("results/scratch/*.checkpoint"))
    if not found:
        return 0, {}
    content = torch.load(found[0], weights_only=True)
    position = content["position"]
    return position["epoch"] * -(-500 // 16) + position["batch"], content


def trained_beyond(steps: int, root: Path) -> int:
    """Run until more steps than these are saved; return how many there are."""
    for budget in BUDGETS_S:
        said = spend(root, budget)
        done, _ = saved(root)
        if done > steps:
            go_on = f"spikecost run tiny --scale full --workers 1 --budget {budget}s"
            left = r"\nMeasured 0 cases; left: 1 case, \S+ \S+, 1 of them from a checkpoint\."
            assert re.search(rf"{left} Go on: {go_on}\n", said), said
            return done
    pytest.fail(f"no step was saved in {BUDGETS_S} s")


class Enough(Exception):
    """The undisturbed training has done as many steps."""


def undisturbed(steps: int, tmp_path: Path) -> TrainingStep:
    """Train without a stop up to so many steps."""
    step = training_step(CASE.network, CASE.algorithm, CASE.backend, seed=CASE.seed, **CASE.algorithm_options)
    left = steps

    def report(_: Progress) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Enough

    with pytest.raises(Enough):
        training.train(CASE, step, RealData(CASE, None), epochs=2000, checkpoint=tmp_path / "whole", report=report)
    return step


@pytest.mark.slow
def test_training_stopped_by_the_budget_goes_on_in_a_copy_elsewhere_to_the_bit(tmp_path: Path) -> None:
    first = tiny(tmp_path / "here")
    once = trained_beyond(0, first)
    copied = tmp_path / "elsewhere" / "copied"
    shutil.copytree(first, copied)
    shutil.rmtree(first)
    twice = trained_beyond(once, copied)
    _, content = saved(copied)
    step = undisturbed(twice, tmp_path)
    weights = step.net.state_dict()
    assert content["weights"].keys() == weights.keys()
    assert all(torch.equal(content["weights"][name], weights[name]) for name in weights)
    momenta = [state["momentum_buffer"] for state in step.optimizer.state.values()]
    kept = [state["momentum_buffer"] for state in content["optimizer"]["state"].values()]
    assert len(momenta) == len(kept) > 0
    assert all(torch.equal(a, b) for a, b in zip(momenta, kept, strict=True))
