"""The record of a run of the whole products (tests/full.py)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TESTS = """
import pytest

def test_passes(): pass
def test_fails(): assert False
def test_skips(): pytest.skip("a reason")

@pytest.fixture
def broken(): raise ValueError

def test_has_an_error(broken): pass
"""


def test_full_run_is_recorded_with_counts_commit_and_date(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(TESTS)
    options = ["-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
    code = (
        f"from pathlib import Path; from tests.full import run; raise SystemExit(run({options}, Path({str(tmp_path / 'r')!r})))"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    record = json.loads((tmp_path / "r").read_text())
    assert ended.returncode == record["exit status"] == 1
    assert (record["passed"], record["failed"], record["skipped"]) == (1, 2, 1)
    assert set(record) == {"date", "commit", "machine", "hours", "passed", "failed", "skipped", "exit status"}
    assert record["commit"]
