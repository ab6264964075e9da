"""What pytest-benchmark saves of a row, and what it says when that is compared on another machine."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import probes
from bench.case import Case
from bench.machine import identity, machine_id
from tests.benchmarks.test_training_step import ROUNDS

REPOSITORY = Path(__file__).parents[2]
STEPS = str(REPOSITORY / "tests/benchmarks/test_training_step.py")
ROW = "ottt-o on native"  # of the network that is quickest


def pytest_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """pytest under this project's settings, run from ``folder``; no process outside of the test is waited for."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    environment |= {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(REPOSITORY)}
    settings = ("-c", str(REPOSITORY / "pyproject.toml"), "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    command = [sys.executable, "-m", "pytest", *settings, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment)


def nothing_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A benchmark of nothing, under this project's settings and the benchmarks' hooks."""
    test = folder / "test_nothing.py"
    test.write_text("def test_nothing(benchmark):\n    benchmark.pedantic(lambda: None, rounds=2)\n")
    return pytest_in(folder, "-p", "tests.benchmarks.conftest", "--rootdir", str(folder), *arguments, str(test))


@pytest.mark.slow
def test_saved_benchmark_has_rounds_cost_and_machine(tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    ran = pytest_in(tmp_path, STEPS, "--benchmark-only", f"--benchmark-json={saved}", "-k", "r400 and ottt-o")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    content = json.loads(saved.read_text())
    assert content["machine_info"]["spikecost"] == identity()
    (row,) = content["benchmarks"]
    info = row["extra_info"]
    assert row["name"] == ROW
    assert row["group"] == f"{info['network']}, T = {info['T']}, batch {info['batch']}, on {info['device']}"
    assert row["stats"]["rounds"] == ROUNDS
    assert 0 < row["stats"]["min"] <= row["stats"]["median"] <= row["stats"]["total"] < ROUNDS * 60
    assert info["machine"] == machine_id(identity())
    assert info["threads"] >= 1
    measured = probes.measure(Case("none", "cost", info["network"], "ottt-o", "native", info["T"], info["batch"]))
    counted = {m.metric: m.value for m in measured}
    assert info["peak_live_bytes"] == counted["peak_live_bytes"]
    assert info["step_macs"] == counted["step_macs"]


@pytest.mark.slow
def test_comparison_with_a_saved_benchmark_warns_of_another_machine(tmp_path: Path) -> None:
    ran = nothing_in(tmp_path, "--benchmark-only", "--benchmark-save=first", "--benchmark-compare=9999")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Can't compare. No benchmark files" in ran.stdout + ran.stderr
    assert "another machine" not in ran.stdout

    (path,) = tmp_path.glob(".benchmarks/*/0001_first.json")
    content = json.loads(path.read_text())
    content["machine_info"]["spikecost"]["cpu"] = "an abacus"
    content["machine_info"]["python_version"] = "2.7"
    path.write_text(json.dumps(content))
    ran = nothing_in(tmp_path, "--benchmark-only", "--benchmark-compare=0001")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "INTERNALERROR" not in ran.stdout + ran.stderr
    assert "No ratio of the times below says anything of the code: cpu: an abacus there" in ran.stdout
    assert "test_nothing (NOW)" in ran.stdout


def test_benchmarks_are_skipped_by_plain_pytest(tmp_path: Path) -> None:
    ran = nothing_in(tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 skipped" in ran.stdout


@pytest.mark.skipif(importlib.util.find_spec("xdist") is None, reason="pytest-xdist is not installed")
def test_benchmarks_in_parallel_workers_are_rejected(tmp_path: Path) -> None:
    ran = pytest_in(tmp_path, STEPS, "--benchmark-only", "-n", "2")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "benchmarks are timed alone on the machine: leave out -n" in ran.stdout + ran.stderr
