"""Seconds of a training step of every algorithm on every backend, with what it costs in bytes and multiplications beside it.

    pytest --benchmark-only

Plain ``pytest`` skips the timing. Times are of this machine, at this moment; the ledger's step times (bench/probes/clock.py)
are ratios to native BPTT taken in turns.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.machine import identity
from bench.probes import cost
from bench.probes.cost import batch_for
from bench.spec import Case
from bench.training_step import TrainingStep, support, training_step

REPOSITORY = Path(__file__).parents[2]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
ROUNDS, WARM_UP = 5, 2
SIZES = {"vgg-sws-small/cifar10": (6, 32), "r400/fashion-mnist": (5, 64)}  # T, batch
ROWS = [
    *itertools.product(("bptt", "ottt-a", "ottt-o", "sltt"), ("native", "spikingjelly", "snntorch")),
    ("bptt", "spikingjelly-multistep"),
    ("checkpointed", "native"),
    ("tbptt", "native"),
    *itertools.product(("ottt-a", "ottt-o", "sltt"), ("spikingjelly-shipped",)),
]


@pytest.mark.parametrize(("algorithm", "backend"), ROWS)
@pytest.mark.parametrize("network", SIZES)
def test_training_step(benchmark: BenchmarkFixture, network: str, algorithm: str, backend: str) -> None:
    able = support(network, algorithm, backend)
    if not able:
        pytest.skip(able.reason)
    T, batch = SIZES[network]
    step = training_step(network, algorithm, backend, device=DEVICE)
    benchmark.group = f"{network}, T = {T}, batch {batch}, on {DEVICE}"
    benchmark.name = f"{algorithm} on {backend}"
    benchmark.extra_info.update(about(network, algorithm, backend, step.kernel))
    benchmark.pedantic(_ready(step, T, batch), rounds=ROUNDS, warmup_rounds=WARM_UP)
    assert all(parameter.isfinite().all() for parameter in step.net.parameters())  # it was a training that was timed


def about(network: str, algorithm: str, backend: str, kernel: str) -> dict[str, Any]:
    """What is known of a row beside its time: the case, its kernel, and its exact cost, counted on tensors without storage."""
    T, batch = SIZES[network]
    step = training_step(network, algorithm, backend, device="meta")
    counted = cost.cost_of(step, *batch_for(step, T, batch, "meta"))
    return {
        "network": network,
        "algorithm": algorithm,
        "backend": backend,
        "T": T,
        "batch": batch,
        "kernel": kernel,
        "device": DEVICE,
        "threads": torch.get_num_threads(),
        "peak live bytes": counted.memory.total,
        "step MACs": sum(counted.macs.dense.values()),
        "step multiplications": sum(counted.macs.multiplications.values()),
    }


def _ready(step: TrainingStep, T: int, batch: int) -> Callable[[], None]:
    x, target = batch_for(step, T, batch, DEVICE)

    def run() -> None:
        step.run(x, target)
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    return run


# --------------------------------------------------------------------------- what is saved


@pytest.mark.parametrize("network", SIZES)
def test_what_stands_beside_a_time_is_what_the_cost_probe_says(network: str) -> None:
    T, batch = SIZES[network]
    said = about(network, "ottt-a", "native", "plain")
    measured = {m.metric: m.value for m in cost.measure(Case("none", "cost", network, "ottt-a", "native", T, batch))}
    assert said["peak live bytes"] == measured["peak_live_bytes"]
    assert said["step MACs"] == measured["step_macs"]
    assert said["step multiplications"] == measured["step_multiplications"]
    assert about(network, "bptt", "native", "plain")["peak live bytes"] > said["peak live bytes"] > 0  # not one number for all


def _pytest(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/benchmarks/test_training_step.py", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)


def test_a_saved_benchmark_names_its_machine_and_its_cost(tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    ran = _pytest("--benchmark-only", f"--benchmark-json={saved}", "-k", "r400 and sltt and (native or shipped)")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout
    assert "OTTTSequential is a chain of layers" in ran.stdout  # why the shipped one is skipped
    content = json.loads(saved.read_text())
    assert content["machine_info"]["spikecost"] == identity()
    assert {"cpu", "cores", "memory_gib", "gpus"} <= set(content["machine_info"]["spikecost"])
    (row,) = content["benchmarks"]
    assert (row["name"], row["stats"]["rounds"]) == ("sltt on native", ROUNDS)
    info = row["extra_info"]
    assert info == {**about("r400/fashion-mnist", "sltt", "native", info["kernel"]), "threads": info["threads"]}
    assert info["kernel"]


def test_plain_pytest_times_nothing() -> None:
    ran = _pytest("-k", "test_training_step and r400 and ottt-a and native")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 skipped" in ran.stdout
    assert "passed" not in ran.stdout
