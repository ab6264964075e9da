"""Mistakes at the command line are one clear line and an exit code."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import algorithms, backends
from bench.case import Case
from bench.errors import UserError
from tests.command.calling import REPOSITORY, Invoke, complaint


@pytest.mark.parametrize("command", ["plan", "run"])
def test_unknown_paper_error_suggests_close_names(invoke: Invoke, command: str) -> None:
    assert complaint(invoke(command, "ottt1")) == "unknown paper 'ottt1': did you mean ottt?"


@pytest.mark.parametrize("command", ["plan", "run"])
def test_unknown_scale_error_suggests_close_names(invoke: Invoke, command: str) -> None:
    assert complaint(invoke(command, "ottt", "--scale", "laptp")) == "unknown scale 'laptp': did you mean laptop?"


def test_unknown_name_error_lists_all_names_if_none_is_close(invoke: Invoke) -> None:
    assert complaint(invoke("plan", "ottt", "--scale", "xyz")) == "unknown scale 'xyz': known: full, laptop, night, smoke"


@pytest.mark.parametrize(("typed", "meant"), [("reprot", "report"), ("plann", "plan"), ("lst", "list"), ("runn", "run")])
def test_unknown_command_error_suggests_close_names(invoke: Invoke, typed: str, meant: str) -> None:
    assert complaint(invoke(typed)).startswith(f"unknown command '{typed}': did you mean {meant}")


def test_unknown_option_error_suggests_close_names(invoke: Invoke) -> None:
    assert "--scale" in complaint(invoke("plan", "--scal", "smoke"))


@pytest.mark.parametrize("workers", ["0", "-1", "two"])
def test_run_rejects_an_invalid_number_of_workers(invoke: Invoke, workers: str) -> None:
    assert "--workers" in complaint(invoke("run", "ottt", "--workers", workers))


def test_mistake_in_a_real_process_shows_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "spikecost", "run", "ottt1"]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr == "Error: unknown paper 'ottt1': did you mean ottt?\n"
    assert ended.stdout == ""


@pytest.mark.parametrize(("name", "close"), [("otta", "ottt-a"), ("ottt_o", "ottt-o"), ("bpt", "bptt"), ("slttk", "sltt-k")])
def test_unknown_algorithm_error_suggests_close_names(name: str, close: str) -> None:
    with pytest.raises(UserError, match=rf"unknown algorithm '{name}': did you mean .*{close}"):
        algorithms.load(name)


@pytest.mark.parametrize(("name", "close"), [("spikingjely", "spikingjelly"), ("snn-torch", "snntorch"), ("nativ", "native")])
def test_unknown_backend_error_suggests_close_names(name: str, close: str) -> None:
    with pytest.raises(UserError, match=rf"unknown backend '{name}': did you mean .*{close}"):
        backends.load(name)


@pytest.mark.parametrize("amount", [0, -1])
@pytest.mark.parametrize(("name", "remedy"), [("T", "use T >= 1"), ("batch", "use batch >= 1")])
def test_case_rejects_less_than_one_step_or_sample(name: str, remedy: str, amount: int) -> None:
    sizes: dict[str, Any] = {"T": 1, "batch": 1, name: amount}
    with pytest.raises(UserError, match=rf"{name} = {amount}: .*{remedy}"):
        Case("ottt", "count", "vgg-sws/cifar10", "bptt", "native", **sizes)


def test_case_rejects_an_unknown_data_set_and_suggests_close_names() -> None:
    with pytest.raises(UserError, match=r"unknown data set 'cifar': did you mean .*cifar10"):
        Case("ottt", "training", "vgg-sws/cifar10", "bptt", "native", 6, 128, dataset="cifar")


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
def test_operating_system_errors_are_one_line(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, error: OSError, said: str) -> None:
    def refuse() -> list[str]:
        raise error

    monkeypatch.setattr("bench.commands.catalogue.papers", refuse)
    assert complaint(invoke("list")).startswith(said)


@pytest.mark.parametrize("to", [">&-", "> /dev/full", "| true"], ids=["closed", "full", "left"])
def test_closed_or_full_output_shows_no_traceback(to: str) -> None:
    if "/dev/full" in to and not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    command = f"'{sys.executable}' -m bench list {to}"
    ended = subprocess.run(["bash", "-c", command], cwd=REPOSITORY, capture_output=True, text=True)
    assert "Traceback" not in ended.stderr
    assert "Exception ignored" not in ended.stderr
    assert len(ended.stderr.splitlines()) <= 1
