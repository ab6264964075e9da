"""Copies of the repository with everything generated anew."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench import figures
from bench.places import CODE as ROOT
from tests.report.reading import drawn_once, first, write


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what people wrote and machines measured, with everything else generated anew."""
    root = tmp_path_factory.mktemp("written")
    shutil.copy(ROOT / "README.md", root)
    shutil.copytree(ROOT / "reproductions", root / "reproductions", ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("runs", "machines"):
        shutil.copytree(ROOT / "results" / folder, root / "results" / folder, ignore=shutil.ignore_patterns("*.lock"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "FIGURES", tuple(map(drawn_once, figures.FIGURES)))
        assert write(root)
    return root


@pytest.fixture
def copy(written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """``written`` once more, to be spoilt."""
    monkeypatch.setattr(figures, "FIGURES", tuple(map(drawn_once, figures.FIGURES)))
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
