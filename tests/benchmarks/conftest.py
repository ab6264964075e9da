"""Benchmarks: the machine's identity goes into what pytest-benchmark saves, and no other benchmark runs at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.machine import gpu, identity, machine_id

DEVICE = "cuda" if gpu() else "cpu"
FOREIGN = pytest.StashKey[list[str]]()  # in what the machines of saved runs differ from this one


@pytest.fixture(scope="session")
def alone() -> Iterator[None]:
    from bench.speed import turns

    with turns.alone():
        yield


@pytest.fixture
def timed(benchmark: BenchmarkFixture, alone: None) -> BenchmarkFixture:
    """``benchmark`` that notes where it was taken, while no other process of this user times."""
    import torch

    where = {"device": DEVICE, "threads": torch.get_num_threads(), "machine": machine_id(identity())}
    benchmark.extra_info.update(where)
    return benchmark


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
    other = {name: saved.get(name, "not known") for name in here if saved.get(name) != here[name]}
    if other:
        config.stash[FOREIGN].append(", ".join(f"{name}: {there} there, {here[name]} here" for name, there in other.items()))


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FOREIGN] = []


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for differences in config.stash[FOREIGN]:
        terminalreporter.section("compared with a run of another machine")
        terminalreporter.write_line(f"No ratio of the times below says anything of the code: {differences}")
