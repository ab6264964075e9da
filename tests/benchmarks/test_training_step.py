"""Seconds of a training step of every algorithm on every backend, on small sizes, beside its exact bytes and multiplications.

    pytest --benchmark-only                            all benchmarks: a few minutes
    pytest --benchmark-only -k vgg-sws-small           one network
    pytest --benchmark-only --benchmark-autosave       and keep them
    pytest --benchmark-only --benchmark-compare        against what was kept last

Plain ``pytest`` times nothing. All rows run in this one process: hold a row against itself before a change, not against others.
Rows are held against one another by ``spikecost speed`` (bench/speed).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench import algorithms, backends
from bench.speed import rows
from bench.speed.rows import Row, Workload
from bench.speed.steps import able, counted, step_of
from bench.speed.timing import WARM_UP
from tests.benchmarks.conftest import DEVICE

ROUNDS = 5
WORKLOADS = (
    Workload("vgg-sws-small/cifar10", 4, 8),
    Workload("resnet18/cifar10", 2, 1),
    Workload("lenet/dvs-gesture", 4, 1),
    Workload("r400/fashion-mnist", 4, 4),
    Workload("otpe-3x128/randman-k25", 4, 4),
)


def benchmarked(workload: Workload) -> Iterator[Row]:
    """The rows of ``spikecost speed``, and every other algorithm at its defaults on the native backend."""
    known = list(rows.rows(workload.T))
    yield from known
    yield from (Row(name, "native") for name in algorithms.names() if not {Row(name, "native")} & set(known))


PAIRS = [
    pytest.param(workload, row, id=f"{workload.network}-T{workload.T}-{row}")
    for workload in WORKLOADS
    for row in benchmarked(workload)
]


@pytest.mark.parametrize(("workload", "row"), PAIRS)
def test_training_step(timed: BenchmarkFixture, workload: Workload, row: Row) -> None:
    if not (answer := able(workload, row)):
        pytest.skip(answer.reason)
    step = step_of(workload, row, DEVICE)
    timed.group, timed.name = f"{workload}, on {DEVICE}", str(row)
    peak, macs = counted(workload, row, workload.batch)
    timed.extra_info.update(
        {
            "network": workload.network,
            "algorithm": row.algorithm,
            "backend": row.backend,
            "options": dict(row.options),
            "T": workload.T,
            "batch": workload.batch,
            "kernel": step.kernel,
            "peak_live_bytes": peak,
            "step_macs": macs,
        }
    )
    timed.pedantic(step.run, rounds=ROUNDS, warmup_rounds=WARM_UP)


@pytest.mark.parametrize("kind", ["algorithm", "backend"])
def test_workloads_include_every_entry_of_the_registry(kind: str) -> None:
    names = {"algorithm": algorithms.names(), "backend": [name for name in backends.names() if backends.available(name)]}[kind]
    pairs = [(workload, row) for workload in WORKLOADS for row in benchmarked(workload) if row.algorithm != rows.FLOOR]
    left = [name for name in names if not any(getattr(row, kind) == name and able(workload, row) for workload, row in pairs)]
    assert not left
