"""A run of the whole program with all its processes is killed several times: no finished case is lost or measured twice.

Ten kills, some in every phase.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the training of this test needs scikit-learn's digits")

REPOSITORY = Path(__file__).parents[2]
CASES = 20  # 7 parameter counts, 12 costs, 1 training
pytestmark = pytest.mark.slow  # the whole program is started a dozen times
KILLS = 10
STAGES = (0, 4, 11, CASES - 1)  # finished cases after which it is killed
RUN = [sys.executable, "-m", "spikecost", "run", "ottt", "--scale", "smoke", "--only", "/native/T", "--workers", "2"]


@dataclass(frozen=True)
class Project:
    """A copy of the project without results, run as a user would."""

    root: Path

    def start(self) -> subprocess.Popen[str]:
        """Start a run in its own process group, without data: a folder blocks the lock file of the download."""
        data = self.root.with_name(f"{self.root.name} data")
        (data / ".cifar-10-python.tar.gz.lock").mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, "SPIKECOST_DATA_ROOT": str(data), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            RUN, cwd=self.root, env=environment, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self) -> str:
        """Run to the end; return the output."""
        process = self.start()
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
        return said

    def lines(self) -> list[str]:
        """Return every complete line of the records."""
        stored = [path.read_text(encoding="utf-8") for path in self.root.glob("results/runs/*/ottt.jsonl")]
        return [line for text in stored for line in text.splitlines(keepends=True) if line.endswith("\n")]

    def files(self) -> dict[str, str]:
        """Return the contents of every file, except the scratch folder, locks and compiled Python files."""
        return {
            str(path.relative_to(self.root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and path.suffix not in (".lock", ".pyc") and "scratch" not in path.parts
        }

    def file(self, name: str) -> bytes:
        return (self.root / name).read_bytes()


def project(root: Path) -> Project:
    for folder in ("bench", "reproductions", "spikecost"):
        shutil.copytree(REPOSITORY / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md"):
        shutil.copy(REPOSITORY / file, root)
    return Project(root)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project after one uninterrupted run."""
    whole = project(tmp_path_factory.mktemp("undisturbed"))
    said = whole.run()
    assert f"{CASES} cases, {CASES} to measure" in said
    assert "digits are used instead: no number on them counts as a result on cifar10" in said
    return whole


def test_training_of_a_smoke_run_learns(undisturbed: Project) -> None:
    """200 test images: seven standard errors above the chance level of 10 %."""
    (accuracy,) = [value for (key, metric), value in numbers(undisturbed).items() if metric == "test_accuracy"]
    assert accuracy > 25


@dataclass(frozen=True)
class Killed:
    """A project whose run was killed several times and then finished, and the lines after each kill."""

    project: Project
    after_each: list[list[str]]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """Kill up to two seconds after a random number of cases is finished, or after the start if they are already finished.

    So kills happen in every phase: starting, measuring and training.
    """
    victim = project(tmp_path_factory.mktemp("killed"))
    chance = random.Random("killed at a random moment")
    after_each: list[list[str]] = []
    for enough in sorted([*STAGES, *chance.choices(STAGES, k=KILLS - len(STAGES))]):
        process = victim.start()
        try:
            while len(done(victim.lines())) < enough and process.poll() is None:
                time.sleep(0.02)
            time.sleep(chance.uniform(0, 2))
            assert process.poll() is None, "the run ended before it was killed"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
        after_each.append(victim.lines())
    victim.run()
    return Killed(victim, after_each)


def records(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def done(lines: list[str]) -> set[str]:
    """Return the keys of finished cases: those with as many metrics as each of their lines states."""
    found = records(lines)
    metrics: dict[str, set[str]] = {}
    for record in found:
        metrics.setdefault(record["key"], set()).add(record["metric"])
    return {r["key"] for r in found if len(metrics[r["key"]]) >= r["of"]}


def numbers(project: Project) -> dict[tuple[str, str], Any]:
    return {(r["key"], r["metric"]): r["value"] for r in records(project.lines())}


def test_kills_happened_at_different_stages(killed: Killed) -> None:
    """Otherwise the tests below would mean nothing."""
    stages = [len(done(lines)) for lines in killed.after_each]
    assert len(stages) >= len(STAGES)
    assert stages == sorted(stages)
    assert len(set(stages)) >= 3, stages
    assert stages[0] < CASES / 2 < stages[-1] < CASES, stages


def test_killed_run_loses_no_complete_line(killed: Killed) -> None:
    for before, after in pairwise([*killed.after_each, killed.project.lines()]):
        assert after[: len(before)] == before


def test_killed_run_measures_finished_cases_once(killed: Killed) -> None:
    lines = records(killed.project.lines())
    assert {r["status"] for r in lines} == {"ok"}  # a killed run does not make its cases fail
    counted = Counter((r["key"], r["metric"]) for r in lines)
    assert len({key for key, _ in counted}) == CASES
    for after in killed.after_each:
        keys = done(after)
        assert {case: n for case, n in counted.items() if case[0] in keys and n != 1} == {}


def test_killed_run_has_the_values_of_the_undisturbed_one(killed: Killed, undisturbed: Project) -> None:
    """Also for the training, which resumes to the bit."""
    assert numbers(killed.project) == numbers(undisturbed)
    assert any("/training/digits/" in key for key, _ in numbers(undisturbed))


@pytest.mark.parametrize("name", ["results/ledger.csv", "results/cost.csv", "README.md", "reproductions/ottt/README.md"])
def test_killed_run_has_the_ledger_of_the_undisturbed_one(killed: Killed, undisturbed: Project, name: str) -> None:
    assert killed.project.file(name)
    assert without_runs(killed.project.file(name)) == without_runs(undisturbed.file(name))


def without_runs(content: bytes) -> Any:
    """Remove the ids of run commands, which are in the ledger only and differ."""
    text = content.decode()
    if not text.startswith("paper,claim,"):
        return text
    return [{name: cell for name, cell in row.items() if name != "runs"} for row in csv.DictReader(io.StringIO(text))]


def test_second_run_changes_no_file(killed: Killed) -> None:
    before = killed.project.files()
    said = killed.project.run()
    assert f"{CASES} cases, 0 to measure" in said
    assert "\n0 files changed" in said
    assert killed.project.files() == before
    assert "plots/index.html" in before


def test_killed_run_leaves_no_temporary_files(killed: Killed) -> None:
    """No checkpoint of a finished training, no partial file."""
    left = [path.name for path in killed.project.root.rglob("*") if path.suffix in (".checkpoint", ".draft")]
    assert left == []
