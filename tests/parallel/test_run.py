"""A training by two processes: its record, and what happens when one of them is killed."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner

import bench.cli as cli
from bench.case import Case
from bench.measurement import Measurement
from bench.progress import Progress
from bench.runner import run as runner
from bench.runner.worker import Job, Outcome, checkpoint_of

pytest.importorskip("sklearn", reason="the digits are part of scikit-learn")

CASE = Case(
    "tests", "training", "vgg5-small/digits", "ottt-o", "native", T=2, batch=5, dataset="digits",
    options=(("epochs", 2), ("test_images", 20), ("train_images", 32)),
)  # fmt: skip


class Watching:
    """A listener; ``seen`` is called with every progress."""

    def __init__(self, seen: Callable[[Progress], None]) -> None:
        self.seen = seen

    def started(self, case: Case) -> None: ...

    def progress(self, case: Case, progress: Progress) -> None:
        self.seen(progress)

    def finished(self, case: Case, outcome: Outcome) -> None: ...


def outcome_of(case: Case, scratch: Path, processes: int, seen: Callable[[Progress], None] = lambda _: None) -> Outcome:
    found: list[Outcome] = []
    runner.run(
        [case], lambda _, one: found.append(one), Watching(seen), data_root=None, scratch=scratch, workers=1, processes=processes
    )
    return found[0]


def values(outcome: Outcome) -> dict[str, Any]:
    assert outcome.status == "ok", outcome.reason
    return {one.metric: one for one in outcome.measurements}


def losses(of: dict[str, Measurement]) -> list[Any]:
    return [of[f"epoch {number}"].detail["train_loss"] for number in (1, 2)]


def ranks() -> list[psutil.Process]:
    mine = psutil.Process().children(recursive=True)
    return [process for process in mine if "bench.parallel.rank" in " ".join(process.cmdline())]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Measurement]:
    return values(outcome_of(CASE, tmp_path_factory.mktemp("alone"), 1))


@pytest.mark.slow
def test_training_by_two_processes_equals_that_of_one(
    tmp_path: Path, alone: dict[str, Measurement], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = outcome_of(CASE, Path("scratch"), 2)  # a relative path, which the processes must not take for another
    together = values(outcome)
    assert outcome.device == "2 x cpu"
    assert together.keys() == alone.keys()
    assert losses(together) == pytest.approx(losses(alone), rel=1e-5)
    assert together["test_accuracy"].value == alone["test_accuracy"].value
    assert [list(path.iterdir()) for path in tmp_path.iterdir()] == [[]]


@pytest.mark.slow
def test_killed_process_ends_the_other_with_a_message_and_the_training_goes_on(
    tmp_path: Path, alone: dict[str, Measurement]
) -> None:
    seen: list[int] = []

    def kill_the_second(progress: Progress) -> None:
        seen.append(progress.done)
        if progress.epoch == 2 and len(ranks()) == 2:
            ranks()[1].send_signal(signal.SIGKILL)

    long = replace(CASE, options=(("epochs", 400), *CASE.options[1:]))
    failed = outcome_of(long, tmp_path, 2, kill_the_second)
    assert failed.status == "failed"
    assert "process 1 of 2 was ended by SIGKILL" in failed.reason
    assert "goes on from the checkpoint" in failed.reason
    assert ranks() == []
    saved = checkpoint_of(Job(long, None, tmp_path, processes=2))
    assert saved.exists()
    again: list[int] = []

    def stop(progress: Progress) -> None:
        again.append(progress.done)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outcome_of(long, tmp_path, 2, stop)
    assert again[0] > 32  # not from the beginning
    assert ranks() == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--only", "/count/"), "none of the cases is a training"),
        (("--budget", "1m"), "leave out --on and --budget"),
        (("--workers", "2"), "leave out --workers"),
        (("--scale", "laptop", "--only", "/training/"), "this machine has"),
    ],
)
def test_processes_that_do_not_suit_are_refused(tmp_path: Path, given: tuple[str, ...], words: str) -> None:
    line = ["run", "ottt", "--scale", "smoke", "--processes", "500", "--results", str(tmp_path), *given]
    ended = CliRunner().invoke(cli.main, line)
    assert ended.exit_code == 1
    assert words in ended.output
