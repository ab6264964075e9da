"""The command line: a mistake is one clear line and an exit code, looking is quick, and nothing is measured on damaged data."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import bench.cli as cli
from bench import algorithms, backends
from bench.datasets import cifar
from bench.records import Store
from bench.spec import Case, UserError

REPOSITORY = Path(__file__).parents[2]

Invoke = Callable[..., Result]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own: the repository's reproductions, README and nothing measured."""
    shutil.copytree(REPOSITORY / "reproductions", tmp_path / "reproductions", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "README.md", tmp_path)
    monkeypatch.setenv("SPIKECOST_PROJECT", str(tmp_path))
    return tmp_path


@pytest.fixture
def invoke(root: Path) -> Invoke:
    """``invoke("plan", "ottt", ...)`` with a data root where nothing is."""
    (root / "no data").mkdir()

    def call(*arguments: str, data_root: Path = root / "no data") -> Result:
        return CliRunner().invoke(cli.main, list(arguments), env={"SPIKECOST_DATA_ROOT": str(data_root)}, prog_name="bench")

    return call


def complaint(result: Result) -> str:
    """What is said to the person whose mistake it was: it ended by design, with one line after 'Error: '."""
    assert result.exit_code not in (0, None)
    assert isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    return line.removeprefix("Error: ")


# --------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize("command", ["plan", "run"])
def test_an_unknown_paper_is_told_with_close_ones(invoke: Invoke, command: str) -> None:
    assert complaint(invoke(command, "ottt1")) == "unknown paper 'ottt1': did you mean ottt?"


@pytest.mark.parametrize("command", ["plan", "run"])
def test_an_unknown_scale_is_told_with_close_ones(invoke: Invoke, command: str) -> None:
    assert complaint(invoke(command, "ottt", "--scale", "laptp")) == "unknown scale 'laptp': did you mean laptop?"


def test_what_resembles_nothing_is_answered_with_all_that_is_known(invoke: Invoke) -> None:
    assert complaint(invoke("plan", "ottt", "--scale", "xyz")) == "unknown scale 'xyz': known: full, laptop, smoke"


@pytest.mark.parametrize(("typed", "meant"), [("reprot", "report"), ("plann", "plan"), ("lst", "list"), ("runn", "run")])
def test_an_unknown_command_is_told_with_close_ones(invoke: Invoke, typed: str, meant: str) -> None:
    assert complaint(invoke(typed)).startswith(f"unknown command '{typed}': did you mean {meant}")


def test_an_unknown_option_is_told_with_close_ones(invoke: Invoke) -> None:
    assert "--scale" in complaint(invoke("plan", "--scal", "smoke"))


@pytest.mark.parametrize("workers", ["0", "-1", "two"])
def test_a_number_of_workers_that_is_none_is_refused(invoke: Invoke, workers: str) -> None:
    assert "--workers" in complaint(invoke("run", "ottt", "--workers", workers))


def test_a_mistake_is_no_traceback_in_a_real_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "run", "ottt1"]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr == "Error: unknown paper 'ottt1': did you mean ottt?\n"
    assert ended.stdout == ""


@pytest.mark.parametrize(("name", "close"), [("otta", "ottt-a"), ("ottt_o", "ottt-o"), ("bpt", "bptt"), ("slttk", "sltt-k")])
def test_an_unknown_algorithm_is_told_with_close_ones(name: str, close: str) -> None:
    with pytest.raises(UserError, match=rf"unknown algorithm '{name}': did you mean .*{close}"):
        algorithms.load(name)


@pytest.mark.parametrize(("name", "close"), [("spikingjely", "spikingjelly"), ("snn-torch", "snntorch"), ("nativ", "native")])
def test_an_unknown_backend_is_told_with_close_ones(name: str, close: str) -> None:
    with pytest.raises(UserError, match=rf"unknown backend '{name}': did you mean .*{close}"):
        backends.load(name)


@pytest.mark.parametrize("amount", [0, -1])
@pytest.mark.parametrize(("name", "remedy"), [("T", "use T >= 1"), ("batch", "use batch >= 1")])
def test_less_than_one_step_or_sample_is_refused(name: str, remedy: str, amount: int) -> None:
    sizes: dict[str, Any] = {"T": 1, "batch": 1, name: amount}
    with pytest.raises(UserError, match=rf"{name} = {amount}: .*{remedy}"):
        Case("ottt", "count", "vgg-sws/cifar10", "bptt", "native", **sizes)


# --------------------------------------------------------------------------- what is missing here


def test_a_missing_framework_is_a_reason_and_no_error(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "snntorch" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    listed = invoke("list")
    assert listed.exit_code == 0
    told = listed.output.splitlines()
    assert "  snntorch  - snntorch is not installed: pip install '.[frameworks]'" in told
    assert "  native" in told
    assert "  spikingjelly" in told

    from bench.training_step import support

    answer = support("vgg-sws-small/cifar10", "bptt", "snntorch")
    assert not answer
    assert "snntorch is not installed" in answer.reason
    with pytest.raises(UserError, match="backend snntorch: snntorch is not installed"):
        backends.load("snntorch")


def test_a_framework_that_breaks_when_imported_is_a_reason_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> ModuleType:
        raise ImportError("its shared library is not for this machine")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(UserError, match=r"backend snntorch: snntorch is installed but cannot be imported: its shared library"):
        backends.load("snntorch")


def test_data_that_are_not_there_are_said_to_be_missing(invoke: Invoke) -> None:
    (line,) = [line for line in invoke("list").output.splitlines() if line.startswith("  cifar10 ")]
    assert "CIFAR-10 is not under the data root: set SPIKECOST_DATA_ROOT" in line


def test_the_plan_names_digits_where_they_stand_in(invoke: Invoke, tmp_path: Path) -> None:
    assert "/training/digits/" in invoke("plan", "ottt").output
    fabricated(tmp_path / "data")
    with_data = invoke("plan", "ottt", data_root=tmp_path / "data").output
    assert "/training/cifar10/" in with_data
    assert "/digits/" not in with_data


# --------------------------------------------------------------------------- damaged data


def fabricated(root: Path) -> cifar.Cifar:
    """CIFAR-10's files under ``root`` with pixels of our own; the set that takes them for the official ones."""
    (root / cifar.CIFAR10.folder).mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(256, size=(20, 3072), dtype=np.uint8)
    sums = {}
    for name in cifar.CIFAR10.files:
        contents = pickle.dumps({"data": pixels, "labels": [i % 10 for i in range(20)]}, protocol=3)
        (root / cifar.CIFAR10.folder / name).write_bytes(contents)
        sums[name] = hashlib.md5(contents, usedforsecurity=False).hexdigest()
    test = {"test_batch": sums.pop("test_batch")}
    return replace(cifar.CIFAR10, train=sums, test=test)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the cases that a run would have measured; none is."""
    asked: list[str] = []

    def note(cases: list[Case], *_: Any, **__: Any) -> None:
        asked.extend(case.key for case in cases)

    monkeypatch.setattr("bench.runner.run.run", note)
    return asked


def test_files_that_are_not_the_official_ones_stop_a_run_before_anything_is_measured(
    invoke: Invoke, root: Path, tmp_path: Path, measured: list[str]
) -> None:
    fabricated(tmp_path / "data")
    told = complaint(invoke("run", "ottt", "--scale", "smoke", data_root=tmp_path / "data"))
    file = tmp_path / "data" / "cifar-10-batches-py" / "data_batch_1"
    found = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    assert f"{file} is damaged or not the official file: md5 {found}" in told
    assert f"expected {cifar.CIFAR10.train['data_batch_1']}" in told
    assert measured == []
    assert Store(root / "results").load("ottt") == ([], [])


def test_a_truncated_file_stops_a_run_before_anything_is_measured(
    invoke: Invoke, root: Path, tmp_path: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fabricated(tmp_path / "data")
    monkeypatch.setattr(cifar, "CIFAR10", whole)
    assert invoke("run", "ottt", "--scale", "smoke", data_root=tmp_path / "data").exit_code == 0
    assert any("/training/cifar10/" in key for key in measured)  # whole files are taken: the next refusal is the cut's
    measured.clear()

    file = tmp_path / "data" / whole.folder / "test_batch"
    file.write_bytes(file.read_bytes()[:-100])
    told = complaint(invoke("run", "ottt", "--scale", "smoke", data_root=tmp_path / "data"))
    found = hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()
    assert told.startswith(f"{file} is damaged or not the official file: md5 {found}, expected {whole.test['test_batch']}")
    assert "delete it" in told
    assert measured == []
    assert Store(root / "results").load("ottt") == ([], [])


# --------------------------------------------------------------------------- looking is quick

HEAVY = "{'torch', 'snntorch', 'spikingjelly', 'sklearn', 'matplotlib', 'pandas'} & set(sys.modules)"


def seconds(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, check=True)
    return time.perf_counter() - began


LOOKING = (("-m", "bench", "list"), ("-m", "bench", "plan"), ("-c", "import bench.cli, bench.report"))


def test_looking_takes_less_time_than_importing_torch_would() -> None:
    """The least of some turns: what else the machine does only ever adds."""
    turns = [[seconds(*command) for command in (*LOOKING, ("-c", "import torch"))] for _ in range(3)]
    *looking, torch = map(min, zip(*turns, strict=True))
    assert max(looking) < torch, looking


@pytest.mark.parametrize("arguments", [["list"], ["plan"]])
def test_looking_imports_no_heavy_library(arguments: list[str]) -> None:
    code = f"import sys; from bench.cli import main; main({arguments}, standalone_mode=False); print({HEAVY}, file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines()[-1] == "set()"
    assert ended.stdout


def test_judging_and_drawing_import_no_torch(root: Path) -> None:
    shutil.copytree(REPOSITORY / "results", root / "results", ignore=shutil.ignore_patterns("scratch", "*.csv"))
    code = (
        f"import sys, bench.cli as cli; import bench.report; heavy = {HEAVY}\n"
        "cli.main(['report', '--project', sys.argv[1]], standalone_mode=False)\n"
        "print(heavy, 'torch' in sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, str(root)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines()[-1] == "set() False"
    assert (root / "results" / "ledger.csv").stat().st_size > 0
    assert (root / "plots" / "index.html").exists()
