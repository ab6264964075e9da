"""Runs: results with their origin, broken cases, parallel workers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from bench.plan import digest_of
from bench.runner import run as runner
from bench.runner import worker
from tests.runner.running import MACHINE, SMALL, THREE, Notes, measure, outcomes, stored


def test_run_stores_results_with_their_provenance(tmp_path: Path) -> None:
    measure(tmp_path, [SMALL])
    parameters, macs = stored(tmp_path)
    assert (parameters.metric, parameters.value, parameters.status) == ("parameters", 242_474, "ok")
    assert macs.metric == "forward_macs"
    assert parameters.case == SMALL.as_dict()
    assert (parameters.key, parameters.digest, parameters.machine) == (SMALL.key, digest_of(SMALL), MACHINE)
    assert parameters.versions["torch"] != "not installed"
    assert (parameters.device, parameters.threads, parameters.precision, parameters.run) == ("cpu", 1, "float32", "r")
    assert re.fullmatch(r"[0-9a-f]{12}\+?|tree-[0-9a-f]{12}\+", parameters.commit)
    assert parameters.kernel
    assert measure(tmp_path, [SMALL]) == []


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("quits", "crashed", "exit code 7"),
        ("segfaults", "crashed", "SIGSEGV"),
        ("is_killed", "out of memory", "killed by signal 9"),
        ("is_killed_in_mid_word", "crashed", "exit code 1"),
        ("has_no_memory", "out of memory", "MemoryError"),
    ],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_run_records_a_broken_case_and_continues(
    tmp_path: Path, faulty: Callable[[str], None], fault: str, status: str, reason: str, workers: int
) -> None:
    faulty(fault)
    measure(tmp_path, THREE, workers=workers)
    rows = outcomes(tmp_path)
    assert {T: row[0] for T, row in rows.items()} == {1: "ok", 2: status, 3: "ok"}
    assert reason in rows[2][1]
    (broken,) = [record for record in stored(tmp_path) if record.status != "ok"]
    assert (broken.metric, broken.value) == ("none", None)
    assert measure(tmp_path, THREE) == []  # failures are not repeated by default


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["hangs", "chatters"])
def test_run_ends_a_case_that_times_out(
    tmp_path: Path, faulty: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    faulty(fault)
    monkeypatch.setitem(runner.TIME_LIMIT_S, "smoke", 3.0)
    measure(tmp_path, THREE)
    rows = outcomes(tmp_path)
    assert {T: row[0] for T, row in rows.items()} == {1: "ok", 2: "timeout", 3: "ok"}
    assert rows[2][1] == "not done after 3 s"


def test_run_records_unsupported_cases_with_the_reason(tmp_path: Path) -> None:
    unsupported = replace(SMALL, algorithm="sltt", backend="spikingjelly-multistep")
    mistaken = replace(SMALL, probe="training", dataset="digits", T=2, options=(("epochs", 0),))
    without_files = replace(SMALL, probe="training", dataset="dvs-gesture", T=4)
    refused = replace(SMALL, probe="gradient", dataset="digits", T=3, batch=10**8)
    measure(tmp_path, [unsupported, mistaken, refused, without_files])
    rows = outcomes(tmp_path)
    assert rows[1][0] == "unsupported"
    assert rows[1][1]
    assert rows[2] == ("failed", "epochs = 0; use a whole number >= 1 (passes over the training samples)")
    assert rows[3][0] == "refused"
    assert rows[4][0] == "unsupported"  # the machine lacks it; the case is right
    assert "is missing; it cannot be downloaded automatically" in rows[4][1]
    assert f"forecast {worker.forecast(refused) / 2**30:.1f} GiB at T = 3, batch 100000000" in rows[3][1]


def test_forecast_is_the_exact_live_bytes_times_a_factor() -> None:
    from bench.counting.step import batch_for, cost_of
    from bench.training_step import training_step

    case = replace(SMALL, probe="training", T=11, batch=3)
    step = training_step(case.network, case.algorithm, case.backend, device="meta")
    counted = cost_of(step, *batch_for(step, case.T, case.batch, "meta")).memory.total
    assert worker.forecast(case) == int(worker.FORECAST * counted)


@pytest.mark.parametrize(("spare", "fits"), [(0, True), (-1, False)])
def test_run_refuses_a_case_one_byte_over_the_free_memory(monkeypatch: pytest.MonkeyPatch, spare: int, fits: bool) -> None:
    case = replace(SMALL, probe="training", T=2, batch=4)
    memory = SimpleNamespace(available=worker.forecast(case) + spare)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    answer = worker._fits(case)
    assert answer.ok == fits
    assert ("GiB are free" in answer.reason) == (not fits)
    assert worker._fits(replace(case, probe="cost", batch=10**9))  # counts need no memory


def test_cases_run_in_parallel_but_clock_cases_alone_and_last(tmp_path: Path, faulty: Callable[[str], None]) -> None:
    faulty("quick")
    clocks = [replace(SMALL, probe="clock", T=T) for T in (8, 9)]
    notes = Notes()
    measure(tmp_path, [clocks[0], *THREE[:2], clocks[1]], notes, workers=2)
    assert {notes.events[0], notes.events[1]} == {("started", 1), ("started", 2)}
    assert notes.events[4:] == [("started", 8), ("finished", 8), ("started", 9), ("finished", 9)]
