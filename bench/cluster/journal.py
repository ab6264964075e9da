"""What a job is doing, in its state.json, and its log: a line when a case starts, at its first batch of an epoch,
and when it finishes."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.case import Case
from bench.errors import UserError
from bench.files import write_whole
from bench.progress import Progress
from bench.quantity import decimal

if TYPE_CHECKING:
    from bench.runner.worker import Outcome

WRITE_EVERY_S = 2.0  # between two progress reports; a file on a network file system takes milliseconds


@dataclass
class State:
    """A job as its state.json holds it. ``attempts``: [start, last sign of life] of each start, in seconds of the epoch.

    ``running``: progress of the running cases by key, empty until a training reports; ``there``: keys of cases that had been
    measured on this machine before; ``problem``: why it measures nothing.
    """

    node: str = ""
    gpus: int = 0
    attempts: list[list[float]] = field(default_factory=list)
    running: dict[str, dict[str, float]] = field(default_factory=dict)
    there: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def gpu_hours(self) -> float:
        return self.gpus * sum(last - first for first, last in self.attempts) / 3600


def state_of(path: Path) -> State:
    """Return the state of a job; an empty one if it has not started. Raises UserError for a damaged file."""
    try:
        return State(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return State()
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error}); remove it") from error


class Journal:
    """Listener of the run of one job. An attempt after a requeue goes on in the same file."""

    def __init__(self, path: Path, gpus: int, say: Callable[[str], None] = print, now: Callable[[], float] = time.time) -> None:
        self._path, self._say, self._now = path, say, now
        before = state_of(path)
        begin = now()
        self._state = State(os.uname().nodename, gpus, [*before.attempts, [begin, begin]])
        self._epochs: dict[str, int] = {}
        self._written = 0.0
        self._write()

    def there(self, cases: Sequence[Case]) -> None:
        """Note the cases that need not be measured."""
        self._state.there = [case.key for case in cases]
        self._write()

    def problem(self, what: str) -> None:
        self._state.problem = what
        self._write()

    def started(self, case: Case) -> None:
        self._state.running[case.key] = {}
        self._tell(f"started {case.key}")
        self._write()

    def progress(self, case: Case, progress: Progress) -> None:
        self._state.running[case.key] = asdict(progress)
        new_epoch = self._epochs.get(case.key) != progress.epoch
        if new_epoch:
            self._epochs[case.key] = progress.epoch
            self._tell(
                f"epoch {progress.epoch}/{progress.epochs}, image {progress.done} of {progress.total}, "
                f"{progress.images_per_second:.0f} images/s, loss {decimal(progress.loss, 3)}: {case.key}"
            )
        if new_epoch or self._now() - self._written > WRITE_EVERY_S:
            self._write()

    def finished(self, case: Case, outcome: Outcome) -> None:
        self._state.running.pop(case.key, None)
        self._tell(f"{outcome.status} {case.key}" + (f": {outcome.reason}" if outcome.reason else ""))
        self._write()

    def _tell(self, line: str) -> None:
        self._say(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {line}")

    def _write(self) -> None:
        self._written = self._state.attempts[-1][1] = self._now()
        write_whole(self._path, (json.dumps(asdict(self._state)) + "\n").encode())
