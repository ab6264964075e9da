"""Small runs and their records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.case import Case
from bench.machine import gpu
from bench.plan import wanted_key
from bench.record import Record
from bench.record_store import Store
from bench.runner import run as runner
from bench.runner.store import recorder
from bench.runner.worker import Outcome

HERE = Path(__file__).resolve().parent
PAPER, MACHINE = "made-up", "m"
SMALL = Case(PAPER, "count", "vgg-sws-small/digits", "bptt", "native", T=1, batch=1, scale="smoke")
THREE = [replace(SMALL, T=T) for T in (1, 2, 3)]


class Notes:
    """A listener that records calls; ``on_finished`` is called with each case that has ended."""

    def __init__(self, on_finished: Callable[[Case], None] = lambda _: None) -> None:
        self.events: list[tuple[str, int]] = []
        self._on_finished = on_finished

    def started(self, case: Case) -> None:
        self.events.append(("started", case.T))

    def progress(self, case: Case, progress: Any) -> None:
        self.events.append(("progress", case.T))

    def finished(self, case: Case, outcome: Outcome) -> None:
        self.events.append(("finished", case.T))
        self._on_finished(case)


def measure(root: Path, cases: Sequence[Case], listener: Notes | None = None, workers: int = 1) -> list[Case]:
    """Run the missing cases, as the command line does, and return them."""
    store = Store(root / "results")
    done = store.done(PAPER, MACHINE)
    missing = [case for case in cases if wanted_key(case, gpu()) not in done]
    keep = recorder(store, MACHINE, "r")
    runner.run(missing, keep, listener or Notes(), data_root=None, scratch=root / "scratch", workers=workers)
    return missing


def stored(root: Path) -> list[Record]:
    records, torn = Store(root / "results").load(PAPER)
    assert torn == []
    return records


def outcomes(root: Path) -> dict[int, tuple[str, str]]:
    """T -> status and reason."""
    return {record.case["T"]: (record.status, record.reason) for record in stored(root)}
