"""A training of scale night is killed ten times, with the run around it, and ends with the bits of an undisturbed one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.runner.test_killed import project

KILLS = 10
RUN = ["run", "tiny", "--scale", "night", "--workers", "1"]
CASES = '''
"""One night case: Randman at full length, cut to seconds."""

from bench.case import Case

PAPER = "tiny"


def cases(has):
    options = (("alpha", 0.0), ("epochs", 1), ("form", "adjoint"), ("test_images", 50), ("train_images", 24000))
    network = "otpe-3x128/randman-k25"
    return [Case(PAPER, "training", network, "otpe", "native", 50, 16, "randman-rate", "night", 0, options)]
'''
PAPER_TOML = """id = "tiny"
title = "A night"
authors = ["A. Test"]
venue = "none"
link = "https://example.org"
summary = "One case."
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prepared")


def night(root: Path) -> Path:
    """A copy of the project with one paper, of one night case, whose trainings save themselves five times a second."""
    copied = project(root).root
    own = copied / "reproductions" / "tiny"
    own.mkdir()
    (own / "__init__.py").touch()
    (own / "cases.py").write_text(CASES)
    (own / "paper.toml").write_text(PAPER_TOML)
    (own / "claims.toml").write_text("table = []\n")
    (own / "README.md").write_text("# tiny\n\n<!-- generated: claims -->\n<!-- end -->\n")
    loop = copied / "bench" / "training.py"
    text = loop.read_text()
    assert "CHECKPOINT_EVERY_S = 15.0" in text
    loop.write_text(text.replace("CHECKPOINT_EVERY_S = 15.0", "CHECKPOINT_EVERY_S = 0.2"))
    return copied


def start(root: Path, cache: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "SPIKECOST_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "spikecost", *RUN], cwd=root, env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def stopped(process: subprocess.Popen[str]) -> None:
    """Kill a run with all its processes, if it has not ended."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def finished(root: Path, cache: Path) -> dict[str, Any]:
    process = start(root, cache)
    try:
        said, _ = process.communicate(timeout=600)
    finally:
        stopped(process)
    assert process.returncode == 0, said
    (path,) = root.glob("results/runs/*/tiny.jsonl")
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert {r["status"] for r in records} == {"ok"}, records
    assert len({r["metric"] for r in records}) == len(records)  # each measured once
    return {r["metric"]: r["value"] for r in records}


def checkpoint(root: Path) -> tuple[Path, float] | None:
    """The saved training and when it was saved, if there is one."""
    for path in root.rglob("*.checkpoint"):
        with contextlib.suppress(FileNotFoundError):
            return path, path.stat().st_mtime
    return None


@pytest.mark.slow
def test_a_night_case_killed_ten_times_ends_as_an_undisturbed_one(tmp_path: Path, cache: Path) -> None:
    """Each kill comes after the training has saved itself anew, so that every run carries it on."""
    wanted = finished(night(tmp_path / "undisturbed"), cache)
    root = night(tmp_path / "killed")
    for _ in range(KILLS):
        before, process, limit = checkpoint(root), start(root, cache), time.monotonic() + 300
        try:
            while checkpoint(root) == before and process.poll() is None and time.monotonic() < limit:
                time.sleep(0.02)
            assert process.poll() is None, "the run ended before it was killed"
        finally:
            stopped(process)
        assert checkpoint(root) != before
        assert not list(root.glob("results/runs/*/tiny.jsonl"))
    assert finished(root, cache) == wanted
    assert checkpoint(root) is None
