"""make passes its variables and stops with the run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command.calling import REPOSITORY

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
def test_make_passes_variables_and_is_silent_after_ctrl_c(made: Callable[..., subprocess.Popen[str]], whole_group: bool) -> None:
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
