"""A run is rejected before anything is measured: damaged data, no matching case, folders that are not writable."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import pytest

from bench.case import Case
from bench.datasets import cifar
from bench.record_store import Store
from tests.command.calling import COUNTS, Invoke, complaint, fabricated


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keys of the cases that a run would have measured; none is."""
    asked: list[str] = []

    def note(cases: list[Case], *_: Any, **__: Any) -> None:
        asked.extend(case.key for case in cases)

    monkeypatch.setattr("bench.runner.run.run", note)
    return asked


def test_run_rejects_unofficial_data_files_before_measuring(
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


def test_run_rejects_truncated_data_files_before_measuring(
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


@pytest.mark.parametrize(
    ("only", "named"),
    [("nonsense", ""), ("traning", "/training/"), ("vgg-sws/cifar01", "vgg-sws/cifar10"), ("/ottt/count/vgg", "ottt/count/")],
)
def test_run_only_without_a_match_names_close_cases(invoke: Invoke, measured: list[str], only: str, named: str) -> None:
    told = complaint(invoke("run", "ottt", "--scale", "smoke", "--only", only))
    assert told.startswith(f"--only {only!r} matches none of ")
    assert re.search(r"cases are called ottt/\S+", told)
    assert named in told
    assert measured == []


@pytest.mark.parametrize("folder", [".", "plots", "results", "reproductions/ottt"])
def test_run_rejects_folders_that_are_not_writable_before_measuring(
    invoke: Invoke, root: Path, measured: list[str], monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    for name in ("plots", "results"):
        (root / name).mkdir()
    plain = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: plain(path, mode) and not (mode & os.W_OK and Path(path) == root / folder)
    )
    assert complaint(invoke(*COUNTS)).startswith(f"nothing can be written into {root / folder}: change its permissions")
    assert measured == []


def test_run_only_that_matches_at_another_scale_names_the_scale(invoke: Invoke, measured: list[str]) -> None:
    told = complaint(invoke("run", "ottt", "--scale", "smoke", "--only", "/clock/"))
    assert re.fullmatch(r"--only '/clock/' matches none of \d+ cases at scale smoke; at --scale laptop it matches \d+", told)
    assert measured == []


def test_run_rejects_pages_with_invalid_markers_before_measuring(invoke: Invoke, root: Path, measured: list[str]) -> None:
    page = root / "README.md"
    text = page.read_text(encoding="utf-8").replace("<!-- end -->\n", "", 1)
    page.write_text(text, encoding="utf-8")
    assert "README.md, line" in complaint(invoke(*COUNTS))
    assert measured == []
    assert page.read_text(encoding="utf-8") == text
