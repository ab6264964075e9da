"""Which cases go into one job: many short ones, or one long training."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from bench.case import Case
from bench.registry import PROBES

LONG = ("night", "full")  # scales at which a training takes from half an hour to days


@dataclass(frozen=True)
class Share:
    """The cases of one job. ``exclusive``: it needs a whole node, since its cases may have no company."""

    cases: tuple[Case, ...]
    exclusive: bool = False


def is_long(case: Case) -> bool:
    """Whether a case gets a job of its own, which is requeued until it is done."""
    return case.probe == "training" and case.scale in LONG


def shares(cases: Sequence[Case], minutes: int, workers: int, most: int) -> list[Share]:
    """Split a plan into jobs: long trainings first, then short cases that take about ``minutes`` on ``workers`` processes each,
    at most ``most`` jobs if there are not more long trainings, and last the cases that run alone, in one job.

    Every case is in exactly one share, in the order of the plan within it; the same plan gives the same shares. The typical
    times of probes (``bench.registry``) decide, so that shares last longer or shorter on another machine.
    """
    alone = [case for case in cases if PROBES[case.probe].alone]
    long = [case for case in cases if is_long(case) and not PROBES[case.probe].alone]
    short = [case for case in cases if not is_long(case) and not PROBES[case.probe].alone]
    wanted = math.ceil(round(sum(PROBES[case.probe].typical_s for case in short) / (60 * minutes * workers), 6))
    jobs = max(1, min(wanted, len(short), most - len(long))) if short else 0
    whole_node = [Share(tuple(alone), exclusive=True)] if alone else []
    return [*(Share((case,)) for case in long), *_balanced(short, jobs), *whole_node]


def _balanced(cases: Sequence[Case], jobs: int) -> list[Share]:
    """The longest case goes to the job with the least to do."""
    parts: list[list[int]] = [[] for _ in range(jobs)]
    loads = [(0.0, i) for i in range(jobs)]
    for place in sorted(range(len(cases)), key=lambda i: -PROBES[cases[i].probe].typical_s):
        load, job = heapq.heappop(loads)
        parts[job].append(place)
        heapq.heappush(loads, (load + PROBES[cases[place].probe].typical_s, job))
    return [Share(tuple(cases[i] for i in sorted(part))) for part in parts]
