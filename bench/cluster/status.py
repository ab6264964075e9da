"""The state of every case of a submission, from SLURM's queue, the jobs' states and their records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from bench.cluster.journal import State, state_of
from bench.cluster.submission import Submission
from bench.record import Record
from bench.record_store import latest

FAILED = ("crashed", "failed", "out of memory", "timeout")
Word = Literal["queued", "running", "done", "failed", "lost"]
WORDS: tuple[Word, ...] = get_args(Word)


@dataclass(frozen=True)
class CaseState:
    """Where a case is. "lost": its job ended without a record of it; submitted again it is measured.

    ``why``: status and reason of a failed case. ``progress``: of a running training, see ``bench.progress``.
    """

    key: str
    word: Word
    job: int
    why: str = ""
    progress: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """The cases of a submission and its jobs."""

    submission: Submission
    cases: tuple[CaseState, ...]
    jobs: tuple[State, ...]

    @property
    def counts(self) -> Counter[str]:
        return Counter(case.word for case in self.cases)

    @property
    def alive(self) -> bool:
        """Whether a case may still be measured by one of its jobs."""
        return any(case.word in ("queued", "running") for case in self.cases)

    @property
    def gpu_hours(self) -> float:
        return sum(job.gpu_hours for job in self.jobs)

    @property
    def problems(self) -> list[str]:
        return sorted({job.problem for job in self.jobs if job.problem})

    def unfinished(self) -> set[str]:
        """Keys of cases that one of the jobs has or will have measured."""
        return {case.key for case in self.cases if case.word in ("queued", "running")}

    def log(self, case: CaseState) -> Path | None:
        return self.submission.log(case.job)


def status(submission: Submission, queue: Mapping[str, str] | None) -> Status:
    """Return the state of every case.

    ``queue``: the states of jobs by SLURM's id (``slurm.queued``). None if SLURM cannot be asked: what is not finished then
    counts as running or queued, and nothing as lost.
    """
    ids = submission.slurm_ids()
    cases: list[CaseState] = []
    jobs: list[State] = []
    for number in range(len(submission.shares)):
        state = state_of(submission.state(number))
        jobs.append(state)
        cases += _cases(submission, number, state, None if queue is None else queue.get(ids.get(number, ""), ""))
    return Status(submission, tuple(cases), tuple(jobs))


def _cases(submission: Submission, number: int, state: State, slurm: str | None) -> list[CaseState]:
    """``slurm``: the state of the job in SLURM's queue, "" if it is not there, None if that is not known."""
    share, store = submission.shares[number], submission.store(number)
    ended: dict[str, Record] = {}
    for paper in sorted({case.paper for case in share.cases}):
        ended |= {record.key: record for record in latest(store.load(paper)[0])}
    alive = slurm != ""
    active = slurm not in ("", "PENDING") and bool(state.attempts)
    found = []
    for key in (case.key for case in share.cases):
        record = ended.get(key)
        if record and record.status in FAILED:
            found.append(CaseState(key, "failed", number, f"{record.status}: {record.reason}"))
        elif record or key in state.there:
            found.append(CaseState(key, "done", number))
        elif active and key in state.running:
            found.append(CaseState(key, "running", number, progress=state.running[key]))
        else:
            found.append(CaseState(key, "queued" if alive else "lost", number))
    return found
