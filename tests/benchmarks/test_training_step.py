"""Seconds of a training step of every algorithm on every backend, in turns, beside its exact bytes and multiplications.

    pytest --benchmark-only                      every workload: many minutes
    pytest --benchmark-only -k vgg-sws-small     one
    make benchmark                               every workload, and the goals as a table and a figure under results/speed/

Plain ``pytest`` times nothing. A workload's rows run in turns, each in a process of its own (bench/speed); what pytest-benchmark
shows and saves of a row are the seconds that its process told.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pytest_benchmark.fixture import BenchmarkFixture

from bench.machine import identity
from bench.probes import clock, cost
from bench.spec import Case
from bench.speed import goals, rows, turns
from bench.speed.rows import FLOOR, Row, Workload
from bench.speed.turns import PAPER_BATCH, Run, Timed
from tests.benchmarks.conftest import keep

REPOSITORY = Path(__file__).parents[2]
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
TINY = Workload("r400/fashion-mnist", 3, 4)  # for the tests of the benchmark itself
TINY_ROWS = (
    Row(FLOOR, "contiguous"),
    Row("bptt", "native"),
    Row("ottt-a", "native"),
    Row("ottt-a", "native-fast"),
    Row("ottt-a", "native-fast", (("K", 3),)),
    Row("ottt-a", "spikingjelly-shipped"),
)


class Told:
    """A clock for pytest-benchmark whose intervals are seconds that were measured elsewhere; a plain clock until it has them."""

    def __init__(self) -> None:
        self.readings: list[float] = []

    def tell(self, seconds: tuple[float, ...]) -> None:
        edges = list(itertools.accumulate(seconds, initial=0.0))
        self.readings = [reading for pair in itertools.pairwise(edges) for reading in pair]

    def __call__(self) -> float:
        return self.readings.pop(0) if self.readings else time.perf_counter()


@cache
def run_of(workload: Workload) -> Run:
    return turns.run(workload, DEVICE, TINY_ROWS if workload == TINY else None)


def timed_of(run: Run, row: Row) -> Timed:
    found = [timed for timed in run.timed if timed.row == row]
    if not found:
        pytest.skip(run.refused[str(row)])
    return found[0]


def pairs() -> list[object]:
    every = {**{w: tuple(rows.rows(w)) for w in rows.workloads(DEVICE)}, TINY: TINY_ROWS}
    told = [(w, row, Told()) for w, of_workload in every.items() for row in of_workload]
    return [pytest.param(*t, id=f"{t[0].network}-T{t[0].T}-{t[1]}", marks=pytest.mark.benchmark(timer=t[2])) for t in told]


@pytest.mark.parametrize(("workload", "row", "told"), pairs())
def test_training_step(
    request: pytest.FixtureRequest, benchmark: BenchmarkFixture, workload: Workload, row: Row, told: Told
) -> None:
    if workload == TINY and "r400" not in request.config.getoption("keyword"):
        pytest.skip("a tiny workload for the tests of the benchmark itself: -k r400")
    run = run_of(workload)
    if workload != TINY:
        keep(request.config, run)
    timed = timed_of(run, row)
    benchmark.group, benchmark.name = f"{workload}, on {DEVICE}", str(row)
    benchmark.extra_info.update(about(run, timed))
    told.tell(timed.seconds)
    benchmark.pedantic(lambda: None, rounds=len(timed.seconds))
    assert benchmark.stats is not None
    assert benchmark.stats.stats.median == pytest.approx(timed.median)


def about(run: Run, timed: Timed) -> dict[str, object]:
    """What is known of a row beside its time."""
    return {
        "network": run.workload.network,
        "algorithm": timed.row.algorithm,
        "backend": timed.row.backend,
        "options": dict(timed.row.options),
        "T": run.workload.T,
        "batch": run.workload.batch,
        "kernel": timed.kernel,
        "device": run.device,
        f"peak live bytes at batch {PAPER_BATCH}": timed.peak_bytes,
        f"MACs at batch {PAPER_BATCH}": timed.macs,
    }


# --------------------------------------------------------------------------- what is saved


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=environment)


def _pytest(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/benchmarks/test_training_step.py", *arguments]
    return _run(command)


def test_a_saved_benchmark_names_its_machine_and_its_cost(tmp_path: Path) -> None:
    saved = tmp_path / "saved.json"
    ran = _pytest("--benchmark-only", f"--benchmark-json={saved}", "-k", "test_training_step and r400")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "another machine" not in ran.stdout
    assert "OTTTSequential supports plain chains of layers" in ran.stdout  # why the shipped one is skipped
    content = json.loads(saved.read_text())
    assert content["machine_info"]["spikecost"] == identity()
    by_name = {row["name"]: row for row in content["benchmarks"]}
    assert set(by_name) == {f"{FLOOR} on contiguous", "bptt on native", "ottt-a on native", "ottt-a on native-fast"}
    assert "a loop passes the gradient through time" in ran.stdout
    for row in by_name.values():
        assert turns.LEAST <= row["stats"]["rounds"] <= turns.MOST
        assert 0 < row["stats"]["min"] <= row["stats"]["median"] < 60
    info = by_name["ottt-a on native"]["extra_info"]
    assert info["kernel"] == "torch"
    measured = cost.measure(Case("none", "cost", TINY.network, "ottt-a", "native", TINY.T, PAPER_BATCH))
    counted = {m.metric: m.value for m in measured}
    assert info[f"peak live bytes at batch {PAPER_BATCH}"] == counted["peak_live_bytes"]
    assert info[f"MACs at batch {PAPER_BATCH}"] == counted["step_macs"]


def _tiny(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A benchmark of nothing, under this project's settings and this folder's hooks."""
    test = folder / "test_tiny.py"
    test.write_text("def test_nothing(benchmark):\n    benchmark.pedantic(lambda: None, rounds=2)\n")
    ours = ("-c", str(REPOSITORY / "pyproject.toml"), "-p", "no:cacheprovider", "-p", "tests.benchmarks.conftest")
    return _run([sys.executable, "-m", "pytest", *ours, "--rootdir", str(folder), "--benchmark-only", *arguments, str(test)])


def test_a_run_is_compared_with_a_saved_one_and_told_if_that_is_of_another_machine(tmp_path: Path) -> None:
    path = tmp_path / "0001_saved.json"
    ran = _tiny(tmp_path, f"--benchmark-json={path}", "--benchmark-compare=9999")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Can't compare. No benchmark files" in ran.stdout + ran.stderr

    assert "another machine" not in ran.stdout

    content = json.loads(path.read_text())
    content["machine_info"]["spikecost"]["cpu"] = "an abacus"
    content["machine_info"]["python_version"] = "2.7"
    path.write_text(json.dumps(content))
    ran = _tiny(tmp_path, f"--benchmark-compare={path}")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "INTERNALERROR" not in ran.stdout + ran.stderr
    assert "No ratio of the times below says anything of the code: cpu: an abacus there" in ran.stdout
    assert "test_nothing (NOW)" in ran.stdout


@pytest.mark.skipif(importlib.util.find_spec("xdist") is None, reason="pytest-xdist is not installed")
def test_workers_side_by_side_are_refused() -> None:
    ran = _pytest("--benchmark-only", "-n", "2")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "benchmarks are timed alone on the machine: leave out -n" in ran.stdout + ran.stderr


def test_workloads_of_two_processes_are_timed_one_after_the_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(turns.platformdirs, "user_cache_dir", lambda _: str(tmp_path))
    order = []

    def other() -> None:
        with turns.alone():
            order.append("other")

    with turns.alone():
        waiting = threading.Thread(target=other)
        waiting.start()
        waiting.join(0.3)
        order.append("first")
    waiting.join(30)
    assert order == ["first", "other"]
    assert "another process times a workload on this machine: waiting" in capfd.readouterr().err


def test_plain_pytest_times_nothing() -> None:
    ran = _pytest("-k", "test_training_step and r400 and ottt-a and native")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "skipped" in ran.stdout
    assert "passed" not in ran.stdout


# --------------------------------------------------------------------------- goals


def timed(algorithm: str, backend: str, seconds: tuple[float, ...], peak: int | None = 100, **options: int) -> Timed:
    return Timed(Row(algorithm, backend, tuple(options.items())), "", seconds, peak, 1)


RUN = Run(
    Workload("n", 4, 2),
    "cpu",
    (
        timed(FLOOR, "contiguous", (2.0, 2.0, 2.0), None),
        timed(FLOOR, "channels last", (1.0, 1.0, 1.0), None),
        timed("bptt", "native-fast", (1.2, 1.3, 1.4), 80),
        timed("bptt", "native-balanced", (1.5, 1.5, 1.5), 30),
        timed("bptt", "snntorch", (2.0, 2.6, 2.8), 100),
        timed("bptt", "spikingjelly", (3.0, 3.0, 3.0), 90),
        timed("ottt-a", "native-fast", (2.0, 2.0, 2.0), 10),
        timed("ottt-a", "native-fast", (1.0, 1.0, 1.0), 40, K=4),
        timed("ottt-a", "spikingjelly-shipped", (2.0, 2.0, 2.0), 20),
        timed("ottt-a", "snntorch", (0.1, 0.1, 0.1), 1),
    ),
)


def test_goals_are_ratios_to_the_best_of_the_others() -> None:
    ratios = [ratio for goal in goals.GOALS if (ratio := goal.ratio(RUN)) is not None]
    assert [(round(ratio.value, 6), ratio.ours, ratio.against) for ratio in ratios] == [
        (0.5, "bptt on native-fast", "bptt on snntorch"),
        (1.3, "bptt on native-fast", f"{FLOOR} on channels last"),
        (0.5, "ottt-a on native-fast (K = 4)", "ottt-a on spikingjelly-shipped"),
        (round(30 / 90, 6), "bptt on native-balanced", "bptt on spikingjelly"),
        (0.5, "ottt-a on native-fast", "ottt-a on spikingjelly-shipped"),
    ]


@given(
    turns=st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(1, 50)), min_size=5, max_size=25),
)
def test_a_slow_spell_that_falls_on_whole_turns_moves_no_ratio(turns: list[tuple[float, float, float]]) -> None:
    quiet = clock.ratio_in_turns([mine for mine, _, _ in turns], [other for _, other, _ in turns])
    slow = clock.ratio_in_turns([mine * spell for mine, _, spell in turns], [other * spell for _, other, spell in turns])
    assert slow == pytest.approx(quiet, rel=1e-12)
    assert quiet[0] <= quiet[1] <= quiet[2]


def test_the_table_tells_what_is_met_and_what_was_not_measured() -> None:
    table = goals.table([RUN])
    assert (
        "| BPTT step, native fast / best framework | n, T = 4, batch 2 | **0.50** (0.50 to 0.60, n = 3) | 0.65 | not measured |"
        in table
    )
    slow = Run(RUN.workload, "cpu", tuple(t for t in RUN.timed if t.row.algorithm != FLOOR))
    assert "convolutions alone" not in goals.table([slow])
    assert (
        goals.standing([RUN]).splitlines()[0] == "BPTT step, native fast / best framework: met on 1 of 1 workloads, 0.50 to 0.50"
    )


def test_the_floor_is_less_work_than_a_step() -> None:
    run = turns.run(TINY, "cpu", TINY_ROWS[:2])
    assert [timed.row for timed in run.timed] == list(TINY_ROWS[:2])
    (n,) = {len(timed.seconds) for timed in run.timed}
    assert n == turns.MOST  # a tiny step never takes long enough to be timed less often
    assert all(min(timed.seconds) > 0 for timed in run.timed)
    floor = min(timed.median for timed in run.timed if timed.row.algorithm == FLOOR)
    assert floor < min(timed.median for timed in run.timed if timed.row.algorithm != FLOOR)
    assert turns.run(TINY, "cpu", TINY_ROWS[-1:]).refused.keys() == {"ottt-a on spikingjelly-shipped"}
