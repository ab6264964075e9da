"""Runs that are stopped, and a store that cannot be written."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.case import Case
from bench.errors import UserError
from bench.runner import run as runner
from bench.runner import worker
from bench.runner.worker import Job, Outcome, checkpoint_of
from tests.runner.running import HERE, MACHINE, PAPER, SMALL, THREE, Notes, measure, outcomes, stored


def test_ctrl_c_keeps_finished_cases_and_the_next_run_does_the_rest(tmp_path: Path, faulty: Callable[[str], None]) -> None:
    faulty("quick")

    def interrupt(case: Case) -> None:
        if case.T == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path, THREE, Notes(interrupt))
    assert outcomes(tmp_path) == {1: ("ok", ""), 2: ("ok", "")}
    assert measure(tmp_path, THREE) == THREE[2:]
    assert len(stored(tmp_path)) == 3


def test_sigterm_ends_the_run_and_its_workers(tmp_path: Path, faulty: Callable[[str], None]) -> None:
    faulty("hangs")
    before = signal.getsignal(signal.SIGTERM)
    alive: list[bool] = []

    def terminate() -> None:
        worker_id = int(_wait_for(tmp_path / "scratch" / "pid").read_text())
        os.kill(worker_id, signal.SIGINT)  # like Ctrl-C in a terminal: workers ignore it
        time.sleep(0.3)
        alive.append(psutil.pid_exists(worker_id))
        if alive == [True]:
            os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=terminate)
    killer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path, THREE)
    killer.join()
    assert alive == [True]
    assert time.monotonic() - began < 40  # the worker would sleep for 60 s
    assert not psutil.pid_exists(int((tmp_path / "scratch" / "pid").read_text()))
    assert signal.getsignal(signal.SIGTERM) == before
    assert outcomes(tmp_path) == {1: ("ok", "")}
    faulty("quick")
    assert measure(tmp_path, THREE) == THREE[1:]


KILLED_RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import faulty
from bench.runner import run
from tests.runner.running import THREE, measure
run.PRELOAD.clear()
run.work = faulty.hangs
measure(Path(sys.argv[1]), THREE)
"""


def test_workers_end_if_the_run_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED_RUN, str(tmp_path), str(HERE)], cwd=HERE.parents[1])
    worker_id = int(_wait_for(tmp_path / "scratch" / "pid").read_text())
    assert psutil.pid_exists(worker_id)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while psutil.pid_exists(worker_id) and psutil.Process(worker_id).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker outlives its run"
        time.sleep(0.05)
    assert outcomes(tmp_path) == {1: ("ok", "")}


def test_full_disk_ends_the_run_and_keeps_stored_results(
    tmp_path: Path, faulty: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty("quick")
    write = os.write

    def full(file: int, data: Any) -> int:
        if THREE[1].key.encode() not in bytes(data):
            return write(file, data)
        write(file, bytes(data)[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UserError, match=rf"cannot write .*{PAPER}\.jsonl: No space left on device.*free some space"):
        measure(tmp_path, THREE)
    monkeypatch.setattr(os, "write", write)
    assert outcomes(tmp_path) == {1: ("ok", "")}
    assert measure(tmp_path, THREE) == THREE[1:]


def test_second_run_on_the_same_file_is_rejected(tmp_path: Path, faulty: Callable[[str], None]) -> None:
    faulty("quick")
    measure(tmp_path, THREE[:1])
    hold = (
        "import sys; from pathlib import Path; from bench.record_store import Store\n"
        f"with Store(Path(sys.argv[1])).locked({PAPER!r}, {MACHINE!r}): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(tmp_path / "results")]
    with subprocess.Popen(command, cwd=HERE.parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=rf"{PAPER}\.jsonl is being written by another run"):
            measure(tmp_path, THREE)
        other.communicate()
    assert measure(tmp_path, THREE) == THREE[1:]
    assert outcomes(tmp_path) == dict.fromkeys((1, 2, 3), ("ok", ""))


def test_checkpoint_is_removed_only_after_the_result_is_stored(tmp_path: Path, faulty: Callable[[str], None]) -> None:
    faulty("quick")
    checkpoint = checkpoint_of(Job(SMALL, None, tmp_path))
    checkpoint.touch()

    def refuse(case: Case, outcome: Outcome) -> None:
        raise UserError("no space")

    with pytest.raises(UserError, match="no space"):
        runner.run([SMALL], refuse, Notes(), data_root=None, scratch=tmp_path, workers=1)
    assert checkpoint.exists()
    runner.run([SMALL], lambda *_: None, Notes(), data_root=None, scratch=tmp_path, workers=1)
    assert not checkpoint.exists()


def test_checkpoint_depends_on_case_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(SMALL, None, tmp_path)
    mine = checkpoint_of(job)
    assert mine == checkpoint_of(replace(job, data_root=tmp_path))
    assert mine != checkpoint_of(replace(job, case=replace(SMALL, seed=1)))
    monkeypatch.setattr(worker, "digest_of", lambda *_: "other code")
    assert mine != checkpoint_of(job)


def _wait_for(path: Path) -> Path:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.02)
    return path
