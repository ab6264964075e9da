"""Copies of the repository with everything generated anew."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from bench import figures
from bench.places import CODE as ROOT
from tests.report.reading import drawn_once, first


@pytest.fixture(scope="session")
def drawn(shared_folder: Path) -> Path:
    """Where drawings are kept by their data: every figure is drawn once in a session."""
    return shared_folder / "drawn"


@pytest.fixture(scope="session")
def written(shared_folder: Path, drawn: Path) -> Path:
    """A copy of what people wrote and machines measured, with everything else generated anew, once in a session."""
    root = shared_folder / "written"
    with FileLock(f"{root}.lock"):
        if not root.exists():
            half = shared_folder / "half written"
            _generate(half, drawn)
            half.rename(root)
    return root


def _generate(root: Path, drawn: Path) -> None:
    root.mkdir()
    shutil.copy(ROOT / "README.md", root)
    shutil.copytree(ROOT / "reproductions", root / "reproductions", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("runs", "machines"):
        shutil.copytree(ROOT / "results" / folder, root / "results" / folder, ignore=shutil.ignore_patterns("*.lock"))
    command = [sys.executable, "-m", "tests.report.generate", str(root), str(drawn)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (drawn / "imported.json").write_text(ended.stdout.splitlines()[-1], encoding="utf-8")


@pytest.fixture
def draws_once(drawn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "FIGURES", tuple(drawn_once(figure, drawn) for figure in figures.FIGURES))


@pytest.fixture
def copy(written: Path, draws_once: None, tmp_path: Path) -> Path:
    """``written`` once more, to be changed."""
    return shutil.copytree(written, tmp_path / "copy")


@pytest.fixture
def few(copy: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``copy`` with the parameter counts of one paper alone, and nothing drawn: quickly read."""
    monkeypatch.setattr(figures, "FIGURES", ())
    for paper in (copy / "reproductions").glob("*/paper.toml"):
        if paper.parent.name != "ottt":
            shutil.rmtree(paper.parent)
    lines = first(copy).read_text(encoding="utf-8").splitlines(keepends=True)
    first(copy).write_text("".join(line for line in lines if '"probe":"count"' in line), encoding="utf-8")
    return copy
