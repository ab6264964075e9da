"""Writing records: full disks, interrupted writes, two processes."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
from pathlib import Path

import pytest

from bench.errors import UserError
from tests.unit.stored import known, record


def _fill(root: str, limit: int) -> None:
    """Append until the disk, as this process sees it, is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    store = known(Path(root))
    try:
        for i in range(100):
            store.append("p", "m", [record("a", T=i + 1), record("b", T=i + 1)])
    except UserError as error:
        Path(root, "told").write_text(f"{i} {error}"[: limit // 2])


def test_append_on_a_full_disk_loses_no_record(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_fill, args=(str(tmp_path), 5000))
    process.start()
    process.join(60)
    stored, said = Path(tmp_path, "told").read_text().split(" ", 1)
    records, torn = known(tmp_path).load("p")
    assert int(stored) > 1
    assert len(records) == 2 * int(stored)
    assert torn == []
    assert "p.jsonl" in said
    assert "free some space" in said


def test_append_continues_a_short_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, bytes(data)[:7]))
    known(tmp_path).append("p", "m", [record()])
    assert known(tmp_path).load("p") == ([record()], [])


def test_append_reverts_an_interrupted_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = known(tmp_path)
    store.append("p", "m", [record()])
    write = os.write

    def interrupted(file: int, data: bytes) -> int:
        write(file, bytes(data)[:7])
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.append("p", "m", [record("b")])
    monkeypatch.undo()
    assert store.load("p") == ([record()], [])


def _hold(root: str, ready: multiprocessing.synchronize.Event, leave: multiprocessing.synchronize.Event) -> None:
    with known(Path(root)).locked("p", "m"):
        ready.set()
        leave.wait(60)


def test_append_is_exclusive_between_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path), ready, leave))
    process.start()
    assert ready.wait(60)
    store = known(tmp_path)
    with pytest.raises(UserError, match=r"p\.jsonl is being written by another run"):
        store.append("p", "m", [record()])
    leave.set()
    process.join(60)
    with store.locked("p", "m"):
        store.append("p", "m", [record()])  # the holder itself may write
    assert store.load("p") == ([record()], [])


def test_append_names_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"cannot write .*p\.jsonl"):
        known(tmp_path).append("p", "m", [record()])
