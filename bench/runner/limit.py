"""A run that ends in time: which cases may still start, and when a training is stopped. Nothing here knows processes.

A case that keeps no checkpoint starts only if it is expected to end before the run does. A training starts if it will reach a
checkpoint. When the end is near, a training is stopped as soon as it has saved itself, so that nothing is computed for nothing;
at the end every process is stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.case import Case
from bench.registry import PROBES
from bench.runner.checkpoints import EVERY_S

START_S = 10.0  # for a training to read its data and to reach its first batch
STOPPING_S = EVERY_S + 1.0  # before the end; in this time a training with short batches saves itself once


@dataclass(frozen=True)
class Limit:
    """``ends``: the time, by ``time.monotonic()``, at which nothing runs any more; ``expected``: seconds of a case.

    ``one_gpu``: whether cases that can use a GPU share one, so that one of them runs at a time.
    """

    ends: float
    expected: Callable[[Case], float]
    one_gpu: bool = False

    def next(self, pending: Sequence[Case], running: Sequence[Case], workers: int, now: float) -> int | None:
        """Return the place in ``pending`` of the case to start now, the first that may; None if there is none.

        A case that runs alone is waited for while only short ones run before it.
        """
        if len(running) >= workers:
            return None
        for place, case in enumerate(pending):
            if not self.fits(case, now):
                continue
            if _alone(case):
                if not running:
                    return place
                if not any(map(resumes, running)):
                    return None
            elif not any(map(_alone, running)) and not (self.one_gpu and _on_gpu(case) and any(map(_on_gpu, running))):
                return place
        return None

    def fits(self, case: Case, now: float) -> bool:
        """Whether a case that starts now will leave something when the run ends."""
        left, seconds = self.ends - now, self.expected(case)
        return seconds <= left or (resumes(case) and left >= START_S + EVERY_S)

    def stops(self, case: Case, now: float, saved: bool) -> bool:
        """Whether to stop a running case. ``saved``: whether it has saved itself since ``STOPPING_S`` before the end."""
        return now >= self.ends or (resumes(case) and saved and now >= self.ends - STOPPING_S)


def resumes(case: Case) -> bool:
    """Whether a case that is stopped goes on from a checkpoint."""
    return case.probe == "training"


def _alone(case: Case) -> bool:
    return PROBES[case.probe].alone


def _on_gpu(case: Case) -> bool:
    return PROBES[case.probe].device in ("best", "cuda")
