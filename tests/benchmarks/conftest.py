"""Benchmarks: the machine's identity goes into what pytest-benchmark saves, and the goals are printed and written at the end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.machine import identity
from bench.runner.store import commit_of, version_of
from bench.speed import goals
from bench.speed.saved import save
from bench.speed.turns import Run

ROOT = Path(__file__).resolve().parents[2]
RUNS = pytest.StashKey[list[Run]]()
FOREIGN = pytest.StashKey[list[str]]()  # in what the machines of saved runs differ from this one


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--save-goals", metavar="FOLDER", help="write table and figure of the goals under FOLDER (make benchmark: results)"
    )


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_update_machine_info(config: pytest.Config, machine_info: dict[str, Any]) -> None:
    """Add CPU model, cores, memory and GPUs as ``machine_info["spikecost"]``."""
    machine_info["spikecost"] = identity()


@pytest.hookimpl(optionalhook=True)
def pytest_benchmark_compare_machine_info(
    config: pytest.Config, machine_info: dict[str, Any], compared_benchmark: dict[str, Any]
) -> None:
    """Note a saved run of another machine: its seconds stand beside these, and no ratio of them says anything."""
    saved = compared_benchmark.get("machine_info", {}).get("spikecost", {})
    here = machine_info["spikecost"]
    other = {name: saved.get(name, "not told") for name in here if saved.get(name) != here[name]}
    if other:
        config.stash[FOREIGN].append(", ".join(f"{name}: {there} there, {here[name]} here" for name, there in other.items()))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RUNS] = []
    config.stash[FOREIGN] = []


def keep(config: pytest.Config, run: Run) -> None:
    """Remember a workload's run, and write all runs so far: a run that is cut short has lost nothing."""
    runs = config.stash[RUNS]
    if run not in runs:
        runs.append(run)
        folder = config.getoption("--save-goals")
        if folder:
            names = ("torch", "spikingjelly", "snntorch", "triton")
            provenance = {
                "commit": commit_of(ROOT),
                "when": datetime.now(UTC).isoformat(timespec="seconds"),
                "versions": {name: version_of(name) for name in names},
            }
            save(runs, Path(folder), provenance)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for differences in config.stash[FOREIGN]:
        terminalreporter.section("compared with a run of another machine")
        terminalreporter.write_line(f"No ratio of the times below says anything of the code: {differences}")
    runs = config.stash[RUNS]
    if not runs:
        return
    terminalreporter.section("goals of the native backend")
    terminalreporter.write_line(goals.table(runs))
    terminalreporter.write_line(goals.standing(runs))
