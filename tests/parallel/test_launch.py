"""What the starter of processes gives them, and what it says of one that failed; masks of a batch in parts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
import torch

from bench.case import Case
from bench.errors import UserError
from bench.parallel import launch, rank
from bench.parallel.masks import MasksOfTheBatch
from bench.plan import digest_of, wanted_key
from bench.processes import ALONE

CASE = Case("tests", "training", "vgg5-small/digits", "bptt", "native", T=2, batch=5, dataset="digits")


class Ended:
    """A process that has ended."""

    def __init__(self, returncode: int) -> None:
        self.returncode = returncode

    def poll(self) -> int:
        return self.returncode


def failure(checkpoint: Path, *ended: tuple[int, str]) -> Exception:
    processes: list[Any] = [Ended(status) for status, _ in ended]
    return launch._failure(processes, [io.StringIO(text) for _, text in ended], checkpoint)


def test_failure_is_that_of_the_process_that_failed_by_itself(tmp_path: Path) -> None:
    found = failure(tmp_path, (1, f"process 0 of 2 {ALONE}"), (1, "a warning\nlower lr"))
    assert isinstance(found, UserError)
    assert str(found).startswith("process 1 of 2 failed: lower lr. ")
    assert "--retry goes on from the checkpoint" in str(found)
    assert "checkpoint" not in str(failure(tmp_path / "none", (1, "lower lr"), (-9, "")))


def test_process_that_lacks_memory_is_no_failure_of_the_code(tmp_path: Path) -> None:
    out_of_memory = rank._status(torch.OutOfMemoryError("CUDA out of memory"))
    assert isinstance(failure(tmp_path, (1, f"process 0 of 2 {ALONE}"), (out_of_memory, "CUDA out of memory")), MemoryError)


@pytest.mark.parametrize(("visible", "own"), [(None, "1"), ("3, 5", "5")])
def test_process_sees_no_gpu_but_its_own(visible: str | None, own: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    given = launch.Rank(CASE, None, None, "cuda", 1, 1, 1, Path("checkpoint"), 2, rank=1)
    assert launch._environment(given)["CUDA_VISIBLE_DEVICES"] == own


def test_files_are_removed_when_the_starter_was_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(status: int) -> None:
        raise SystemExit(status)

    (tmp_path / "of" / "them").mkdir(parents=True)
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr("os._exit", leave)
    with pytest.raises(SystemExit):
        rank._end_with_the_starter(tmp_path / "of")
    assert list(tmp_path.iterdir()) == []


def test_record_of_several_processes_is_stale_when_what_shares_the_batch_changes() -> None:
    assert wanted_key(CASE, "2 x cpu")[1:3] == (digest_of(CASE, 2), "2 x cpu")
    assert digest_of(CASE, 2) == digest_of(CASE, 4) != digest_of(CASE)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_mask_of_a_part_is_those_rows_of_the_mask_of_the_batch(layout: torch.memory_format) -> None:
    def mask(samples: int) -> torch.Tensor:
        return torch.empty(samples, 3, 4, 5).contiguous(memory_format=layout)

    torch.manual_seed(0)
    whole = mask(5).bernoulli_(0.5)
    for rows in (slice(0, 3), slice(3, 5)):
        torch.manual_seed(0)
        with MasksOfTheBatch(rows, 5):
            part = mask(rows.stop - rows.start).bernoulli_(0.5)
        assert torch.equal(part, whole[rows])
