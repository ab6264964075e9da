"""Measures the missing cases of a plan on this machine, then judges and draws."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import click

from bench import backends, datasets
from bench.case import Case
from bench.commands.printing import bold, warn_of
from bench.commands.reporting import write_report
from bench.errors import UserError
from bench.places import Project, project_of
from bench.plan import backends_of, wanted_key
from bench.quantity import count_of
from bench.record import Record, together
from bench.record_store import Store, done_key, latest

if TYPE_CHECKING:
    from bench.runner.worker import Outcome


@dataclass(frozen=True)
class Here:
    """The machine that measures, and its GPU, if a computation would use one."""

    machine: str = field(default_factory=lambda: _machine())
    gpu: str | None = field(default_factory=lambda: _gpu())

    def __str__(self) -> str:
        return self.machine

    def of(self, processes: int) -> Here:
        """Return the same with several processes for a training, on a GPU each. Raises UserError for more than there are."""
        import torch

        from bench.machine import usable_cores

        there, what = (torch.cuda.device_count(), "GPU") if self.gpu else (usable_cores(), "core")
        if processes > there:
            raise UserError(
                f"--processes {processes}: a process takes a {what}, and this machine has {count_of(there, what)} to use"
                + (" (CUDA_VISIBLE_DEVICES hides others)" if "CUDA_VISIBLE_DEVICES" in os.environ and self.gpu else "")
            )
        return Here(self.machine, together(self.gpu or "cpu", processes))


@dataclass
class Tally:
    """Counts of one ``run``: cases requested, cases missing, and measured cases by status."""

    wanted: int
    missing: int
    ended: Counter[str] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)  # of the cases measured

    def counting(self, keep: Callable[[Case, Outcome], None]) -> Callable[[Case, Outcome], None]:
        def keep_and_count(case: Case, outcome: Outcome) -> None:
            keep(case, outcome)
            self.ended[outcome.status] += 1
            self.keys.add(case.key)

        return keep_and_count

    def so_far(self) -> str:
        done = self.wanted - self.missing + self.ended.total()
        return f"{done} of {count_of(self.wanted, 'case')} kept; the same command continues from there"

    def summary(self, machine: str) -> str:
        if not self.missing:
            cases = "its one case was" if self.wanted == 1 else f"all {self.wanted} cases were"
            return f"This run measured nothing: {cases} there."
        statuses = ", ".join(f"{count} {status}" for status, count in sorted(self.ended.items()))
        cases = count_of(self.ended.total(), "case")
        return f"This run measured {cases} on {machine}: {statuses}; {self.wanted - self.missing} were there."

    def require_unbroken(self) -> None:
        """Raise UserError if a case gave neither a result nor met a limit of this machine."""
        from bench.runner.run import BROKEN

        counts = ", ".join(f"{count} {status}" for status, count in sorted(self.ended.items()) if status in BROKEN)
        if counts:
            raise UserError(f"of the cases run, {counts}; the reasons are above. Measure them again with --retry")


@dataclass(frozen=True)
class Folders:
    """The folders of the data sets and of what is prepared from them; None: the default."""

    data_root: Path | None = None
    cache: Path | None = None


def writable(project: Path | None, results: Path | None) -> Project:
    """The project to measure in. UserError now, not after an hour, if a file could not be written."""
    from bench import report as reporting

    place = project_of(project, results)
    place.require_writable()
    for page in reporting.pages_of(place):
        reporting.blocks_of(page)
    return place


def measure(
    place: Project,
    wanted: Mapping[str, list[Case]],
    scale: str,
    folders: Folders,
    *,
    workers: int | None = None,
    processes: int = 1,
    retry: bool = False,
) -> None:
    """Measure the missing ones of the cases ``wanted`` of each paper, judge and draw."""
    from bench.runner.store import new_run

    store, here, run_id = Store(place.results), Here() if processes == 1 else Here().of(processes), new_run()
    missing = {name: missing_cases(cases, store, name, here, retry=retry) for name, cases in wanted.items()}
    tally = Tally(sum(map(len, wanted.values())), sum(map(len, missing.values())))
    try:
        for name, cases in missing.items():
            click.echo(bold(f"{name}, scale {scale}: {count_of(len(wanted[name]), 'case')}, {len(cases)} to measure on {here}"))
            if cases:
                measure_cases(place, cases, run_id, tally, folders, workers=workers, processes=processes)
        write_report(place, list(wanted), run_id)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(tally.so_far()) from None
    click.echo(tally.summary(str(here)))
    tally.require_unbroken()


def measure_cases(
    place: Project,
    cases: Sequence[Case],
    run_id: str,
    tally: Tally,
    folders: Folders,
    *,
    workers: int | None = None,
    processes: int = 1,
    forecast: Mapping[str, float] = MappingProxyType({}),
    ends: float | None = None,
) -> None:
    """Measure ``cases``, on one worker per core by default, and store what they give; trainings by ``processes`` each.

    ``forecast``: seconds of some cases by key; ``ends``: the time, by ``time.monotonic()``, until which as many of the cases are
    measured as fit, in their order.
    """
    from bench.machine import usable_cores
    from bench.runner.estimate import Estimate
    from bench.runner.limit import Limit
    from bench.runner.run import run as run_cases
    from bench.runner.screen import Screen
    from bench.runner.store import recorder

    for dataset in sorted({case.dataset for case in cases} - {"none"}):
        datasets.load(dataset, folders.data_root, cache=folders.cache)  # fails now, not after an hour, if damaged
    store, here, side_by_side = Store(place.results), Here(), workers or (usable_cores() if processes == 1 else 1)
    estimate = Estimate(cases, side_by_side, forecast)
    with ExitStack() as held:
        for name in dict.fromkeys(case.paper for case in cases):
            held.enter_context(store.locked(name, here.machine))
        run_cases(
            cases,
            tally.counting(recorder(store, here.machine, run_id)),
            held.enter_context(Screen(cases, side_by_side, estimate)),
            data_root=folders.data_root,
            scratch=scratch_of(place),
            workers=side_by_side,
            cache=folders.cache,
            processes=processes,
            limit=None if ends is None else Limit(ends, estimate.of, one_gpu=here.gpu is not None),
        )


def scratch_of(place: Project) -> Path:
    """The folder of the checkpoints of trainings; it lies in the results, so that a copy of these goes on from them."""
    return place.results / "scratch"


def missing_cases(cases: list[Case], store: Store, paper: str, here: Here, *, retry: bool = False) -> list[Case]:
    records, left_out = store.load(paper)
    warn_of(left_out)
    on_this_machine = [record for record in records if record.machine == here.machine]
    failed = [record for record in latest(on_this_machine) if record.status != "ok"]
    done = {done_key(record) for record in on_this_machine}
    done -= {done_key(record) for record in failed if retry or _installed_since(record)}
    return [case for case in cases if wanted_key(case, here.gpu) not in done]


def _installed_since(record: Record) -> bool:
    """Whether a case was unsupported because a library was missing or its framework had another version, and is available now."""
    from bench.runner.store import MISSING, version_of

    ran = backends_of(record.case["probe"], record.case["backend"])
    if record.status != "unsupported" or not all(backends.available(name) for name in ran):
        return False
    came = any(version == MISSING != version_of(name) for name, version in record.versions.items())
    return came or any(record.versions.get(backends.framework(name)) != backends.version(name) for name in ran)


def _machine() -> str:
    from bench.machine import identity, machine_id

    return machine_id(identity())


def _gpu() -> str | None:
    from bench.machine import gpu

    return gpu()
