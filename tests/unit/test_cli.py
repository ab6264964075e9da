"""The command line: a mistake is one clear line and an exit code, looking is quick, and nothing is measured on damaged data."""

from __future__ import annotations

import errno
import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import bench.cli as cli
from bench import algorithms, backends
from bench.case import Case
from bench.datasets import cifar
from bench.errors import UserError
from bench.measurement import Measurement
from bench.record_store import Store
from bench.registry import ALGORITHMS, BACKENDS, PROBES
from bench.runner.store import keeper
from bench.runner.worker import Outcome

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
    (root / "no data" / ".cifar-10-python.tar.gz.lock").mkdir(parents=True)  # where a download would put its lock

    def call(*arguments: str, data_root: Path = root / "no data") -> Result:
        return CliRunner().invoke(cli.main, list(arguments), env={"SPIKECOST_DATA_ROOT": str(data_root)}, prog_name="spikecost")

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
    assert complaint(invoke("plan", "ottt", "--scale", "xyz")) == "unknown scale 'xyz': known: full, laptop, night, smoke"


@pytest.mark.parametrize(("typed", "meant"), [("reprot", "report"), ("plann", "plan"), ("lst", "list"), ("runn", "run")])
def test_an_unknown_command_is_told_with_close_ones(invoke: Invoke, typed: str, meant: str) -> None:
    assert complaint(invoke(typed)).startswith(f"unknown command '{typed}': did you mean {meant}")


def test_an_unknown_option_is_told_with_close_ones(invoke: Invoke) -> None:
    assert "--scale" in complaint(invoke("plan", "--scal", "smoke"))


@pytest.mark.parametrize("workers", ["0", "-1", "two"])
def test_a_number_of_workers_that_is_none_is_refused(invoke: Invoke, workers: str) -> None:
    assert "--workers" in complaint(invoke("run", "ottt", "--workers", workers))


def test_a_mistake_is_no_traceback_in_a_real_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "spikecost", "run", "ottt1"]
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


def test_an_unknown_data_set_of_a_case_is_refused_with_close_ones() -> None:
    with pytest.raises(UserError, match=r"unknown data set 'cifar': did you mean .*cifar10"):
        Case("ottt", "training", "vgg-sws/cifar10", "bptt", "native", 6, 128, dataset="cifar")


@pytest.mark.parametrize(("wanted", "cases"), [(1, "1 case kept"), (2, "2 cases kept")])
def test_cases_are_counted_in_the_singular_and_the_plural(wanted: int, cases: str) -> None:
    assert cases in cli._Tally(wanted, 0).so_far()


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
    assert f"  native  torch {backends.version('native')}" in told
    assert f"  spikingjelly  spikingjelly {backends.version('spikingjelly')}" in told

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
    with pytest.raises(
        UserError, match=r"backend snntorch: snntorch \S+ is installed but cannot be imported: its shared library"
    ):
        backends.load("snntorch")


def test_list_shows_what_a_choice_depends_on_in_80_columns(invoke: Invoke) -> None:
    listed = invoke("list").output
    assert all(len(line) <= 80 or " " not in line.strip() for line in listed.splitlines())  # an address cannot be wrapped
    for name, entry in ALGORITHMS.items():
        (line,) = [line for line in listed.splitlines() if line.startswith(f"  {name} ") and entry.title in line]
        assert line.endswith(entry.memory)
        assert (" exact " in line) is entry.exact
    words = " ".join(listed.split())
    for probe in PROBES.values():
        assert ", ".join(probe.options) in words


@pytest.mark.parametrize("name", [*ALGORITHMS, *BACKENDS, *PROBES])
def test_list_shows_the_options_of(name: str, invoke: Invoke) -> None:
    if name in BACKENDS and not backends.available(name):
        pytest.skip("cannot be used here")
    shown = invoke("list", name)
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.output.splitlines())) <= 80
    module = importlib.import_module({**ALGORITHMS, **BACKENDS, **PROBES}[name].module)
    text = " ".join(shown.output.split())
    if options := getattr(module, "Options", None):
        assert all(f"{option} {meaning}" in text for option, meaning in options.meanings().items())
    assert ("lr learning rate (a number >= 0; default 0.1)" in text) is (name in ALGORITHMS)


def test_list_rejects_an_unknown_name_with_close_ones(invoke: Invoke) -> None:
    assert complaint(invoke("list", "skiper")).startswith("unknown algorithm, backend or probe 'skiper': did you mean skipper")


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
def test_a_case_is_measured_again_once_what_it_lacked_is_installed(
    versions: dict[str, str], again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.metadata.version

    def version(name: str) -> str:
        found = {"torch": "2.11.0", "fvcore": "0.1"}
        return found[name] if name in found else real(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    record: Any = SimpleNamespace(case={"probe": "count", "backend": "native"}, status="unsupported", versions=versions)
    assert cli._installed_since(record) is again
    record.status = "ok"
    assert not cli._installed_since(record)


def test_a_record_names_the_package_that_was_missing(root: Path) -> None:
    case, store = Case("ottt", "count", "vgg-sws/cifar10", "bptt", "native", 1, 1), Store(root / "results")
    lacking = Outcome("unsupported", "fvcore is not installed", (), "", "cpu", 1, "float32", missing="no-such-package")
    keeper(store, "here", "run")(case, lacking)
    [record], _ = store.load("ottt")
    assert record.versions["no-such-package"] == "not installed"
    assert not cli._installed_since(record)


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


# --------------------------------------------------------------------------- runs, from start to end

COUNTS = ("run", "ottt", "--scale", "smoke", "--only", "/count/")


def quick(cases: list[Case], keep: Callable[[Case, Outcome], None], listener: Any, **_: Any) -> None:
    """In the place of workers: every case gives its T at once."""
    for case in cases:
        listener.started(case)
        outcome = Outcome("ok", "", (Measurement("parameters", 9_228_362, "1"),), "plain", "cpu", 1, "float32")
        keep(case, outcome)
        listener.finished(case, outcome)


def test_ctrl_c_tells_what_is_kept_and_ends_as_shells_expect(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(cases: list[Case], *rest: Any, **more: Any) -> None:
        quick(cases[:3], *rest, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr("bench.runner.run.run", stopped)
    ended = invoke(*COUNTS)
    assert ended.exit_code == 130
    assert ended.output.endswith("\nStopped; 3 of 7 cases kept; the same command goes on from there\n")
    assert "Abort" not in ended.output
    again = invoke(*COUNTS)
    assert "7 cases, 4 to measure" in again.output
    assert again.output.endswith("\nStopped; 6 of 7 cases kept; the same command goes on from there\n")


def test_ctrl_c_in_a_terminal_shows_nothing_of_the_processes_behind(invoke: Invoke, root: Path) -> None:
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
    assert re.fullmatch(r"\s*Stopped; \d of 7 cases kept; the same command goes on from there\n", said)


def test_ctrl_c_while_something_else_is_done_is_no_mistake(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "papers", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    ended = invoke("plan")
    assert ended.exit_code == 130
    assert ended.output.endswith("Stopped\n")


def test_a_run_counts_its_own_apart_from_what_was_there(invoke: Invoke, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_what_a_cpu_computed_while_the_gpu_was_hidden_is_not_done_for_the_gpu(
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


@pytest.mark.parametrize(
    ("only", "named"),
    [("nonsense", ""), ("traning", "/training/"), ("vgg-sws/cifar01", "vgg-sws/cifar10"), ("/ottt/count/vgg", "ottt/count/")],
)
def test_only_what_matches_nothing_is_an_error_that_names_cases(
    invoke: Invoke, measured: list[str], only: str, named: str
) -> None:
    told = complaint(invoke("run", "ottt", "--scale", "smoke", "--only", only))
    assert told.startswith(f"--only {only!r} matches none of ")
    assert re.search(r"cases are called ottt/\S+", told)
    assert named in told
    assert measured == []


@pytest.mark.parametrize("folder", [".", "plots", "results", "reproductions/ottt"])
def test_a_folder_that_may_not_be_written_stops_a_run_before_anything_is_measured(
    invoke: Invoke, root: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    for name in ("plots", "results"):
        (root / name).mkdir()
    plain = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: plain(path, mode) and not (mode & os.W_OK and Path(path) == root / folder)
    )
    assert complaint(invoke(*COUNTS)).startswith(f"nothing can be written into {root / folder}: mend its permissions")
    assert measured == []


def test_only_what_matches_at_another_scale_names_that_scale(invoke: Invoke, measured: list[str]) -> None:
    told = complaint(invoke("run", "ottt", "--scale", "smoke", "--only", "/clock/"))
    assert re.fullmatch(r"--only '/clock/' matches none of \d+ cases at scale smoke; at --scale laptop it matches \d+", told)
    assert measured == []


def test_a_data_root_that_is_not_there_is_told_before_anything_is_listed(invoke: Invoke, root: Path) -> None:
    result = invoke("list", data_root=root / "nowhere")
    assert "nowhere does not exist" in complaint(result)
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; what was measured is kept"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/some/file"),
            "/some/file: Permission denied; change the",
        ),
    ],
    ids=["of what is printed", "of a file"],
)
def test_what_the_machine_refuses_is_a_line(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, error: OSError, said: str) -> None:
    def refuse() -> list[str]:
        raise error

    monkeypatch.setattr(cli, "papers", refuse)
    assert complaint(invoke("list")).startswith(said)


@pytest.mark.parametrize("to", [">&-", "> /dev/full", "| true"], ids=["closed", "full", "left"])
def test_where_nothing_can_be_printed_no_traceback_is_shown(to: str) -> None:
    if "/dev/full" in to and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    command = f"'{sys.executable}' -m bench list {to}"
    ended = subprocess.run(["bash", "-c", command], cwd=REPOSITORY, capture_output=True, text=True)
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
    assert len(ended.stderr.splitlines()) <= 1


def test_ctrl_c_while_the_command_line_is_imported_shows_no_traceback() -> None:
    code = (
        "import runpy, sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'bench.cli': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stop())\n"
        "runpy.run_module('spikecost', run_name='__main__')"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (cli.INTERRUPTED, "")


def test_the_installed_command_is_the_one_of_the_module() -> None:
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts == {"spikecost": "spikecost.__main__:main"}
    assert callable(importlib.import_module("spikecost.__main__").main)


def test_the_page_to_open_is_named_as_seen_from_the_current_folder(
    invoke: Invoke, root: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for here, page in ((root, "plots/index.html"), (tmp_path_factory.mktemp("elsewhere"), str(root / "plots" / "index.html"))):
        monkeypatch.chdir(here)
        assert invoke("report").output.endswith(f"open {page}\n")
        assert Path(page).is_file()


def test_a_page_that_could_not_be_written_stops_a_run_before_anything_is_measured(
    invoke: Invoke, root: Path, measured: list[str]
) -> None:
    page = root / "README.md"
    text = page.read_text(encoding="utf-8").replace("<!-- end -->\n", "", 1)
    page.write_text(text, encoding="utf-8")
    assert "README.md, line" in complaint(invoke(*COUNTS))
    assert measured == []
    assert page.read_text(encoding="utf-8") == text


def test_the_version_names_the_code(invoke: Invoke) -> None:
    assert re.fullmatch(r"spikecost \S+, code of [0-9a-f]{12}\+?\n", invoke("--version").output)


# --------------------------------------------------------------------------- make

PRETENDED = """#!/bin/sh
for given; do printf '<%s>' "$given"; done
echo
trap 'echo Stopped; exit 130' INT
echo $$
sleep 20 >/dev/null 2>&1 & wait
"""


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """``made("TARGET", ...)``: make in a copy of the Makefile, whose Python says what it was given and waits for Ctrl-C."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("there is no make")
    for file in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(REPOSITORY / file, tmp_path)
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(PRETENDED)
    python.chmod(0o755)
    (tmp_path / ".venv" / ".ready").touch()
    # Under `make test` this make would be one within another and print which folder it enters.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return lambda *arguments: subprocess.Popen(
        [make, *arguments], cwd=tmp_path, env=environment, start_new_session=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def until_started(process: subprocess.Popen[str]) -> tuple[str, int]:
    """What the run was given, and its process id."""
    assert process.stdout
    return process.stdout.readline(), int(process.stdout.readline())


@pytest.mark.parametrize("whole_group", [True, False], ids=["in a terminal", "the run alone"])
def test_make_hands_on_what_it_is_given_and_is_silent_after_ctrl_c(
    made: Callable[..., subprocess.Popen[str]], whole_group: bool
) -> None:
    process = made("reproduce-paper", "PAPER=ottt", "SCALE=smoke", "DATA_ROOT=/with blanks/and 'quotes', $HOME $(x)")
    try:
        given, run = until_started(process)
        os.killpg(process.pid, signal.SIGINT) if whole_group else os.kill(run, signal.SIGINT)
        said, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert given == "<-m><spikecost><run><ottt><--scale><smoke><--data-root></with blanks/and 'quotes', $HOME $(x)>\n"
    assert said == "Stopped\n"
    assert process.returncode == -signal.SIGINT


# --------------------------------------------------------------------------- looking is quick

HEAVY = "{'torch', 'snntorch', 'spikingjelly', 'sklearn', 'matplotlib', 'pandas'} & set(sys.modules)"


def seconds(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, check=True)
    return time.perf_counter() - began


LOOKING = (("-m", "spikecost", "list"), ("-m", "spikecost", "plan"), ("-c", "import bench.cli, bench.report"))


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
