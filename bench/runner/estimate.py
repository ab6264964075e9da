"""How long a run still takes: from what its cases typically cost, mended by what those that have ended took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable

from bench.plan import PROBE_TABLE
from bench.spec import Case

TRUST = 2.0  # ended cases of a kind that weigh as much as what was thought before
TRUST_S = 10.0  # typical seconds of ended cases that weigh as much as the thought that this machine is a typical one


class Estimate:
    """Seconds left of a run.

    A case is thought to take its probe's typical time (``bench.plan.Probe``), times how slow this machine has been in this run;
    then what was seen of its probe counts, then what was seen of its network and its algorithm.
    """

    def __init__(self, cases: Iterable[Case], workers: int) -> None:
        self._waiting = {case.key: case for case in cases}
        self._workers = workers
        self._running: dict[str, tuple[Case, float]] = {}  # since when
        self._share: dict[str, float] = {}  # of a running case's work that is done, where it tells
        self._took: dict[Hashable, list[float]] = defaultdict(list)
        self._seconds = self._thought = 0.0  # of all that have ended: what they took, and what was thought

    def started(self, case: Case, now: float) -> None:
        self._waiting.pop(case.key, None)
        self._running[case.key] = (case, now)

    def progress(self, case: Case, share: float) -> None:
        self._share[case.key] = share

    def finished(self, case: Case, now: float) -> None:
        self._waiting.pop(case.key, None)
        _, began = self._running.pop(case.key, (case, now))
        self._seconds += now - began
        self._thought += PROBE_TABLE[case.probe].typical_s
        for kind in _kinds(case):
            self._took[kind].append(now - began)

    def left(self, now: float) -> float:
        """Seconds, if the cases that are left fill all workers to the end, but for those that run alone."""
        running = [self._left_of(case, now - began) for case, began in self._running.values()]
        alone = sum(self._typical(case) for case in self._waiting.values() if PROBE_TABLE[case.probe].alone)
        beside = sum(self._typical(case) for case in self._waiting.values() if not PROBE_TABLE[case.probe].alone)
        return alone + max([(sum(running) + beside) / self._workers, *running])

    def _left_of(self, case: Case, elapsed: float) -> float:
        share = self._share.get(case.key, 0.0)
        whole = elapsed / share if share > 0.05 else max(self._typical(case), elapsed * 1.1)
        return whole - elapsed

    def _typical(self, case: Case) -> float:
        slow = (TRUST_S + self._seconds) / (TRUST_S + self._thought)
        thought = PROBE_TABLE[case.probe].typical_s * slow
        for kind in _kinds(case):
            seen = self._took.get(kind, ())
            thought = (TRUST * thought + sum(seen)) / (TRUST + len(seen))
        return thought


def _kinds(case: Case) -> tuple[Hashable, ...]:
    """From the whole probe down to the closest."""
    return (case.probe, (case.probe, case.network), (case.probe, case.network, case.algorithm, case.backend))
