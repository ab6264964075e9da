"""``run --on`` and ``status``: a plan on a SLURM cluster. The functions below ``Work`` and ``Merge`` run in the jobs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench import datasets
from bench.case import Case
from bench.cluster import kind, slurm
from bench.cluster.journal import Journal
from bench.cluster.merge import merge
from bench.cluster.settings import cluster
from bench.cluster.shares import shares
from bench.cluster.status import WORDS, CaseState, Status, status
from bench.cluster.submission import FOLDER, Submission, latest_kind, submissions
from bench.commands import options
from bench.commands.measuring import Folders, Here, missing_cases
from bench.commands.printing import bold, warn, warn_of
from bench.commands.reporting import write_report
from bench.errors import UserError
from bench.machine import gpu, identity, machine_id
from bench.places import CODE, Project, project_of
from bench.plan import wanted_key
from bench.quantity import count_of, decimal
from bench.record_store import Store

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

SHOWN = 10  # running, failed and lost cases in full; of more, the number


def has(data_root: Path | None, on: str) -> Callable[[str], bool]:
    """Whether a data set is there for the jobs; prints which replaces it where it is not. A login node downloads nothing."""
    root = datasets.data_root(cluster(on).data_root or data_root)

    @cache
    def found(name: str) -> bool:
        there = datasets.available(name, root)
        if not there:
            click.echo(f"{there.reason}\n{datasets.fallback()} are used instead: no number on them counts as a result on {name}.")
        return bool(there)

    return found


def submit(place: Project, wanted: Mapping[str, list[Case]], scale: str, folders: Folders, on: str, *, retry: bool) -> None:
    """Submit the cases ``wanted`` that are not measured, and not in SLURM's queue already."""
    from bench.runner.store import new_run

    settings = cluster(on)
    slurm.require()
    slurm.require_one_kind(settings)
    before = submissions(place.results)
    queue = slurm.queued([each.job_name for each in before])
    if sum(map(_merge, before)):
        write_report(place, list(wanted))
    waiting = {key for each in before for key in status(each, queue).unfinished()}
    kind_before = latest_kind(before, settings)
    todo, there, already = [], 0, 0
    for paper, cases in wanted.items():
        missing = _missing(cases, Store(place.results), paper, kind_before, retry)
        there += len(cases) - len(missing)
        already += sum(case.key in waiting for case in missing)
        todo += [case for case in missing if case.key not in waiting]
    known = f"{there} measured, {already} in the queue (spikecost status)"
    if not todo:
        click.echo(f"nothing to submit: {known}")
        return
    now = datetime.now(UTC)
    submission = Submission(
        folder=(place.results / FOLDER / new_run()).absolute(),
        code=CODE,
        scale=scale,
        cluster=settings,
        shares=tuple(shares(todo, settings.minutes, settings.side_by_side, settings.array_size)),
        data_root=datasets.data_root(settings.data_root or folders.data_root).absolute(),
        cache=Path(settings.cache) if settings.cache else folders.cache and folders.cache.absolute(),
        retry=retry,
        when=now.isoformat(timespec="microseconds"),
    )
    submission.write()
    if kind_before is not None:
        submission.machine.write_bytes(kind_before.read_bytes())
    work, merging = partial(Work, str(submission.folder)), Merge(str(submission.folder), str(place.root))
    submitted = slurm.submit(submission, work, merging)
    click.echo(f"{count_of(len(todo), 'case')} submitted in {submitted}; {known}")
    click.echo(f"`spikecost status` shows how far they are; logs: {submission.logs}")


def _missing(cases: list[Case], store: Store, paper: str, kind_before: Path | None, retry: bool) -> list[Case]:
    """What is not measured on the nodes' kind of machine; all, if it is not known yet: the jobs leave out what is."""
    settled = None if kind_before is None else kind.known(kind_before)
    if settled is None:
        return cases
    gpus = settled["gpus"]
    return missing_cases(cases, store, paper, Here(machine_id(settled), gpus[0] if gpus else None), retry=retry)


@dataclass(frozen=True)
class Work:
    """One job: measures the missing cases of its share by the loop of ``spikecost run``. Requeued, it goes on."""

    folder: str
    number: int

    def __call__(self) -> None:
        measure_share(Submission.read(Path(self.folder)), self.number)

    def checkpoint(self) -> DelayedSubmission | None:
        """What submitit submits again when the time is up: the same, as all progress is on the disk. None: nothing."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self) if Submission.read(Path(self.folder)).cluster.requeue else None


@dataclass(frozen=True)
class Merge:
    """The job after all others: takes their records over into results/, judges and draws."""

    folder: str
    project: str

    def __call__(self) -> None:
        submission = Submission.read(Path(self.folder))
        _merge(submission)
        write_report(Project(Path(self.project), submission.results), submission.papers(), submission.id)

    def checkpoint(self) -> DelayedSubmission:
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def measure_share(submission: Submission, number: int) -> None:
    from bench.runner.run import run as run_cases
    from bench.runner.store import recorder

    journal = Journal(submission.state(number), submission.cluster.gpu_count)
    try:
        submission.require_its_code(CODE)
        node = kind.settle(submission.machine, identity())
    except UserError as error:
        journal.problem(str(error))
        raise
    here, store, share = Here(machine_id(node), gpu()), submission.store(number), submission.shares[number]
    store.describe(here.machine, node)
    measured = set().union(*(store.done(paper, here.machine) for paper in submission.papers()))  # before a requeue
    fresh = [case for case in share.cases if wanted_key(case, here.gpu) not in measured]
    missing = _missing_here(fresh, submission, here)
    journal.there([case for case in fresh if case not in missing])
    run_cases(
        missing,
        recorder(store, here.machine, submission.id),
        journal,
        data_root=submission.data_root,
        scratch=submission.results / "scratch",  # shared: a requeued training may go on at another node
        workers=submission.cluster.side_by_side,
        cache=submission.cache and Path(os.path.expandvars(submission.cache)),
    )


def _missing_here(cases: Sequence[Case], submission: Submission, here: Here) -> list[Case]:
    """The cases that are not in results/, in the same order."""
    main, missing = Store(submission.results), set[str]()
    for paper in {case.paper for case in cases}:
        mine = [case for case in cases if case.paper == paper]
        missing |= {case.key for case in missing_cases(mine, main, paper, here, retry=submission.retry)}
    return [case for case in cases if case.key in missing]


def _merge(submission: Submission) -> int:
    added, left_out = merge(submission)
    warn_of(left_out)
    if added:
        click.echo(f"{count_of(added, 'case')} of submission {submission.id} taken over into {submission.results}")
    return added


@click.command("status")
@options.project
@options.results
@click.option("--log", metavar="TEXT", help="show the logs of the jobs with cases whose key contains TEXT, and no more")
@click.option("--all", "everything", is_flag=True, help="also earlier submissions of which nothing is queued or running")
def status_(project: Path | None, results: Path | None, log: str | None, everything: bool) -> None:
    """Show how far the plans are that were submitted by `run --on`: queued, running, done, failed, lost; GPU hours."""
    found = submissions(project_of(project, results).results)
    if not found:
        raise UserError("nothing was submitted here; `spikecost run PAPER --on slurm` submits a plan (docs/cluster.md)")
    queue = slurm.queued([each.job_name for each in found])
    if queue is None:
        warn("squeue is not on this machine: what is not finished is shown as queued or running, also if its job has ended")
    states = [status(each, queue) for each in found]
    if log is not None:
        _print_logs(states, log)
        return
    for each in states:
        if everything or each.alive or each is states[-1]:
            _print(each)


def _print(now: Status) -> None:
    submission = now.submission
    where = submission.cluster.partition or "the default partition"
    click.echo(
        bold(f"{submission.id}: {', '.join(submission.papers())}, scale {submission.scale}, on {where}, {submission.when[:16]}")
    )
    counts = ", ".join(f"{now.counts[word]} {word}" for word in WORDS if now.counts[word])
    click.echo(f"  {counts} of {count_of(len(now.cases), 'case')} in {count_of(len(submission.shares), 'job')}")
    if submission.cluster.gpu_count:
        click.echo(f"  {decimal(now.gpu_hours, 2)} GPU hours used")
    for problem in now.problems:
        click.echo(f"  a job measured nothing: {problem}")
    for word in ("running", "failed", "lost"):
        cases = [case for case in now.cases if case.word == word]
        for case in cases[:SHOWN]:
            click.echo(f"    {_line(now, case)}")
        if len(cases) > SHOWN:
            click.echo(f"    {len(cases) - SHOWN} more {word}")
    if now.counts["lost"]:
        click.echo("  the jobs of lost cases ended without a record of them: the same `run --on` submits them again")


def _line(now: Status, case: CaseState) -> str:
    if case.word != "running":
        return f"{case.word}: {case.key}" + (f": {case.why}" if case.why else "") + f" ({now.log(case)})"
    done = case.progress
    how_far = (
        f", epoch {done['epoch']:.0f}/{done['epochs']:.0f}, loss {decimal(done['loss'], 3)}, "
        f"accuracy {done['accuracy']:.1f} %, {done['images_per_second']:.0f} images/s"
        if done
        else ""
    )
    return f"running on {now.jobs[case.job].node}: {case.key}{how_far}"


def _print_logs(states: Sequence[Status], text: str) -> None:
    matching = [(each, case) for each in states for case in each.cases if text in case.key]
    if not matching:
        raise UserError(f"--log {text!r} is in the key of no submitted case; cases are called {states[-1].cases[0].key}")
    for each, case in matching:
        path = each.log(case)
        click.echo(f"{case.word:7} {case.key}: {path}{'' if path and path.exists() else ' (not there yet)'}")
