"""A project of its own, and the command line in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import bench.cli as cli
from tests.command.calling import REPOSITORY, Invoke


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
