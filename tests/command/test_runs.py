"""`spikecost run`, `plan` and `report` from start to end, and Ctrl-C."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.case import Case
from bench.commands import measuring
from bench.commands.group import INTERRUPTED
from bench.measurement import Measurement
from bench.record_store import Store
from bench.runner.store import recorder
from bench.runner.worker import Outcome
from tests.command.calling import COUNTS, REPOSITORY, Invoke


@pytest.mark.parametrize(("wanted", "cases"), [(1, "1 case kept"), (2, "2 cases kept")])
def test_summary_counts_cases_in_singular_and_plural(wanted: int, cases: str) -> None:
    assert cases in measuring.Tally(wanted, 0).so_far()


@pytest.mark.parametrize(
    ("versions", "again"),
    [
        ({"torch": "2.11.0", "fvcore": "not installed"}, True),
        ({"torch": "2.11.0", "no-such-package": "not installed"}, False),
        ({"torch": "2.11.0", "fvcore": "0.1"}, False),
        ({"torch": "2.10.0"}, True),
    ],
    ids=["came", "still missing", "was there", "another framework"],
)
def test_case_is_measured_again_after_a_missing_package_was_installed(
    versions: dict[str, str], again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        found = {"torch": "2.11.0", "fvcore": "0.1"}
        return found[name] if name in found else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    record: Any = SimpleNamespace(case={"probe": "count", "backend": "native"}, status="unsupported", versions=versions)
    assert measuring._installed_since(record) is again
    record.status = "ok"
    assert not measuring._installed_since(record)


def test_record_names_the_missing_package(root: Path) -> None:
    case, store = Case("ottt", "count", "vgg-sws/cifar10", "bptt", "native", 1, 1), Store(root / "results")
    lacking = Outcome("unsupported", "fvcore is not installed", (), "", "cpu", 1, "float32", missing="no-such-package")
    recorder(store, "here", "run")(case, lacking)
    [record], _ = store.load("ottt")
    assert record.versions["no-such-package"] == "not installed"
    assert not measuring._installed_since(record)


def quick(cases: list[Case], keep: Callable[[Case, Outcome], None], listener: Any, **_: Any) -> None:
    """In the place of workers: every case gives its T at once."""
    for case in cases:
        listener.started(case)
        outcome = Outcome("ok", "", (Measurement("parameters", 9_228_362, "1"),), "plain", "cpu", 1, "float32")
        keep(case, outcome)
        listener.finished(case, outcome)


def test_ctrl_c_ends_with_status_130_and_names_kept_cases(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(cases: list[Case], *rest: Any, **more: Any) -> None:
        quick(cases[:3], *rest, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.runner.run.run", stopped)
    ended = invoke(*COUNTS)
    assert ended.exit_code == 130
    assert ended.output.endswith("\nStopped; 3 of 7 cases kept; the same command continues from there\n")
    assert "Abort" not in ended.output
    again = invoke(*COUNTS)
    assert "7 cases, 4 to measure" in again.output
    assert again.output.endswith("\nStopped; 6 of 7 cases kept; the same command continues from there\n")


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_shows_no_messages_of_workers(invoke: Invoke, root: Path) -> None:
    """It reaches all of them, here while the first imports torch for the others."""
    command = [sys.executable, "-m", "spikecost", *COUNTS, "--project", str(root), "--data-root", str(root / "no data")]
    process = subprocess.Popen(
        command, cwd=REPOSITORY, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout
    while "7 to measure" not in (line := process.stdout.readline()):
        assert line, "it ended before it began"
    time.sleep(0.3)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert re.fullmatch(r"\s*Stopped; \d of 7 cases kept; the same command continues from there\n", said)


def test_ctrl_c_outside_of_a_run_shows_no_error(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.commands.papers.papers", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    ended = invoke("plan")
    assert ended.exit_code == 130
    assert ended.output.endswith("Stopped\n")


def test_run_counts_new_cases_apart_from_stored_ones(invoke: Invoke, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.runner.run.run", quick)
    monkeypatch.setattr("bench.figures.FIGURES", ())
    first = invoke(*COUNTS[:-1], "/vgg-sws/cifar10/")
    assert "decided by this run: 1; by records stored before it: 0" in first.output
    assert re.search(r"This run measured \d+ cases on \S+: \d+ ok; 0 were there", first.output)
    second = invoke(*COUNTS)
    assert re.search(r"decided by this run: [1-9]; by records stored before it: 1\n", second.output)
    assert "6 ok; 1 were there" in second.output
    third = invoke(*COUNTS)
    assert "This run measured nothing: all 7 cases were there." in third.output
    runs = {record.run for record in Store(root / "results").load("ottt")[0]}
    assert len(runs) == 2  # the third measured nothing


def test_cases_computed_on_the_cpu_are_not_done_for_a_gpu_hidden_at_the_time(
    invoke: Invoke, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "driver" / "nvidia-smi"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\necho 'NVIDIA H200'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tool.parent), prepend=os.pathsep)
    monkeypatch.setattr("bench.machine._torch_has_cuda", lambda: True)
    monkeypatch.setattr("bench.runner.run.run", quick)
    monkeypatch.setattr("bench.figures.FIGURES", ())

    def to_measure() -> set[str]:
        told = invoke("plan", "ottt", "--scale", "smoke").output
        assert "nvidia-h200" in told  # the machine has it, seen or not
        return {line.split("/")[1] for line in told.splitlines() if line.startswith("    ottt/")}

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "training" in to_measure()
    for probe in ("training", "count"):
        assert invoke("run", "ottt", "--scale", "smoke", "--only", f"/{probe}/").exit_code == 0
    assert {record.device for record in Store(root / "results").load("ottt")[0]} == {"cpu"}
    assert not {"training", "count"} & to_measure()
    for hidden in ("-1", "7"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert "training" not in to_measure()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert "training" in to_measure()
    assert "count" not in to_measure()  # is counted on a CPU wherever it is


def test_ctrl_c_during_imports_shows_no_traceback() -> None:
    code = (
        "import runpy, sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'bench.cli': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stop())\n"
        "runpy.run_module('spikecost', run_name='__main__')"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (INTERRUPTED, "")


def test_report_names_the_page_relative_to_the_current_folder(
    invoke: Invoke, root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for here, page in ((root, "plots/index.html"), (tmp_path_factory.mktemp("elsewhere"), str(root / "plots" / "index.html"))):
        monkeypatch.chdir(here)
        assert invoke("report").output.endswith(f"open {page}\n")
        assert Path(page).is_file()
