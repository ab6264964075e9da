"""Progress output of a run: one bar for all cases and one for each training; plain lines without a terminal."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.text import Text

from bench.case import Case
from bench.progress import Progress
from bench.quantity import decimal, quantity
from bench.registry import PROBES
from bench.runner.estimate import Estimate
from bench.runner.worker import Outcome

SHOWN_S = 5.0  # the result of a case that takes longer is printed at once


class _Left(ProgressColumn):
    """Shows the remaining time of the whole run, on the bar of all cases."""

    max_refresh = 1.0

    def __init__(self, estimate: Estimate) -> None:
        super().__init__()
        self._estimate = estimate

    def render(self, task: Task) -> Text:
        if not task.fields.get("all_cases"):
            return Text("")
        return Text(f"{timedelta(seconds=round(self._estimate.left(time.monotonic())))} left", style="progress.remaining")


class Screen:
    """Listener of a run of ``cases``. Trainings show loss, accuracy and images per second; the bar of all cases the time left."""

    def __init__(
        self, cases: Sequence[Case], workers: int, estimate: Estimate | None = None, console: Console | None = None
    ) -> None:
        self._console = console or Console(highlight=False)
        self._estimate = estimate or Estimate(cases, workers)
        self._bars = Bars(
            TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.percentage:3.0f}%"),
            _Left(self._estimate), TextColumn("{task.fields[note]}"),
            console=self._console, transient=True,
        )  # fmt: skip
        self._all = self._bars.add_task("cases", total=len(cases), note="", all_cases=True)
        self._trainings: dict[str, TaskID] = {}
        self._finished, self._total = 0, len(cases)
        self._printed: set[str] = set()

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bars.stop()

    def started(self, case: Case) -> None:
        self._estimate.started(case, time.monotonic())
        self._bars.update(self._all, note=f"{case.probe}: {case.network}, {case.algorithm} on {case.backend}, T = {case.T}")

    def progress(self, case: Case, progress: Progress) -> None:
        self._estimate.progress(case, progress.done / max(progress.total, 1))
        bar = self._trainings.get(case.key)
        if bar is None:
            bar = self._bars.add_task(f"{case.algorithm} on {case.dataset}", total=progress.total, note="")
            self._trainings[case.key] = bar
        note = (
            f"epoch {progress.epoch}/{progress.epochs}  loss {decimal(progress.loss, 3)}  accuracy {progress.accuracy:.1f} %  "
            f"{progress.images_per_second:.0f} images/s"
        )
        self._bars.update(bar, completed=progress.done, note=note)

    def finished(self, case: Case, outcome: Outcome) -> None:
        self._estimate.finished(case, time.monotonic())
        self._finished += 1
        self._bars.advance(self._all)
        bar = self._trainings.pop(case.key, None)
        if bar is not None:
            self._bars.remove_task(bar)
        if outcome.status != "ok":
            self._print_once(case, f"{outcome.status}: {outcome.reason}")
        elif PROBES[case.probe].typical_s >= SHOWN_S:
            first = next(m for m in outcome.measurements if not m.metric.startswith("epoch "))
            value = quantity(first.value, first.unit) if isinstance(first.value, (int, float)) else first.value
            self._console.print(
                f"[{self._finished}/{self._total}] {case.key}: {first.metric} = {value}", markup=False, soft_wrap=True
            )
        elif not self._console.is_terminal and self._finished % 50 == 0:
            self._console.print(f"[{self._finished}/{self._total}] cases", markup=False)

    def _print_once(self, case: Case, problem: str) -> None:
        """Print each problem once; the record of every case has its own."""
        if problem not in self._printed:
            self._printed.add(problem)
            self._console.print(f"{problem} (first in {case.key})", markup=False, soft_wrap=True)
