"""A run whose time is limited: what it starts, what it stops, and what it keeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.case import Case
from bench.errors import UserError
from bench.record_store import Store
from bench.runner import limit as limits
from bench.runner import run as runner
from bench.runner.limit import Limit
from bench.runner.store import recorder
from bench.runner.worker import Job, checkpoint_of, draft_of
from tests.runner.running import MACHINE, SMALL, THREE, Notes, outcomes

TRAINING = replace(SMALL, probe="training", dataset="digits", T=2)


def spend(root: Path, cases: list[Case], seconds: float, notes: Notes | None = None, expected: float = 0.0) -> float:
    """Run for ``seconds``; each case is expected to take ``expected``. Return the seconds that it took."""
    keep, began = recorder(Store(root / "results"), MACHINE, "r"), time.monotonic()
    limit = Limit(began + seconds, lambda _: expected)
    runner.run(cases, keep, notes or Notes(), data_root=None, scratch=root / "scratch", workers=1, limit=limit)
    return time.monotonic() - began


@pytest.mark.slow
def test_cases_are_run_in_the_order_given(tmp_path: Path, faulty: Callable[[str], None]) -> None:
    faulty("quick")
    notes = Notes()
    spend(tmp_path, THREE[::-1], 300, notes)
    assert [T for what, T in notes.events if what == "started"] == [3, 2, 1]


def test_short_cases_that_would_not_end_are_not_started(tmp_path: Path, faulty: Callable[[str], None]) -> None:
    faulty("quick")
    notes = Notes()
    assert spend(tmp_path, THREE, 300, notes, expected=301.0) < 60
    assert notes.events == []
    assert outcomes(tmp_path) == {}


@pytest.mark.slow
def test_case_that_takes_longer_than_expected_is_stopped_at_the_end_and_not_recorded(
    tmp_path: Path, faulty: Callable[[str], None]
) -> None:
    faulty("hangs")
    assert spend(tmp_path, THREE, 6) < 30  # it would wait for 60 s
    assert 2 not in outcomes(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("saves", ["before the end comes near", "near the end"])
def test_training_is_stopped_and_keeps_its_checkpoint(
    tmp_path: Path, faulty: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, saves: str
) -> None:
    """Once it has saved itself near the end, else at the end; the file that it was writing is removed."""
    faulty("quick")
    spend(tmp_path, THREE[:1], 300)  # the next worker then starts in milliseconds
    faulty("saves_itself")
    job, near = Job(TRAINING, None, tmp_path / "scratch"), saves == "near the end"
    for module in (runner, limits):
        monkeypatch.setattr(module, "STOPPING_S", 100.0 if near else 0.5)
    took = spend(tmp_path, [TRAINING], 90.0 if near else 4.0)
    assert took < 60.0 if near else took >= 4.0
    assert checkpoint_of(job).read_text() == "saved"
    assert not draft_of(job).exists()
    assert set(outcomes(tmp_path)) == {1}


@pytest.mark.parametrize("worker", ["has_no_space", "has_no_space_in_torch"])
def test_full_disk_in_a_worker_ends_the_run_and_keeps_what_is_finished(
    tmp_path: Path, faulty: Callable[[str], None], worker: str
) -> None:
    """The case is not recorded as failed: the same command measures it once there is space."""
    faulty(worker)
    keep = recorder(Store(tmp_path / "results"), MACHINE, "r")
    with pytest.raises(UserError, match=r"No space left.*free some space.* What was finished before is kept") as told:
        runner.run(THREE, keep, Notes(), data_root=None, scratch=tmp_path / "scratch", workers=1)
    assert ("checkpoint x" in str(told.value)) or (str(tmp_path / "scratch") in str(told.value))
    assert outcomes(tmp_path) == {1: ("ok", "")}
