"""How long a run still takes: from what its cases typically cost, mended by what those that have ended took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable

from bench.plan import PROBE_TABLE
from bench.spec import Case

TRUST = 2.0  # ended cases that weigh as much as what was thought before


class Estimate:
    """Seconds left of a run. A case is thought to take what others of its probe, network and algorithm took in this run; before
    any has ended, what its probe's took; before that, its probe's typical time (``bench.plan.Probe``)."""

    def __init__(self, cases: Iterable[Case], workers: int) -> None:
        self._waiting = {case.key: case for case in cases}
        self._workers = workers
        self._began: dict[str, float] = {}
        self._share: dict[str, float] = {}  # of a running case's work that is done, where it tells
        self._took: dict[Hashable, list[float]] = defaultdict(list)
        self._case = dict(self._waiting)

    def started(self, case: Case, now: float) -> None:
        self._waiting.pop(case.key, None)
        self._began[case.key] = now

    def progress(self, case: Case, share: float) -> None:
        self._share[case.key] = share

    def finished(self, case: Case, now: float) -> None:
        self._waiting.pop(case.key, None)
        took = now - self._began.pop(case.key, now)
        for kind in _kinds(case):
            self._took[kind].append(took)

    def left(self, now: float) -> float:
        """Seconds, if the cases that are left fill all workers to the end."""
        running = [self._left_of(self._case[key], now - began) for key, began in self._began.items() if key in self._case]
        waiting = sum(map(self._typical, self._waiting.values()))
        return max([(sum(running) + waiting) / self._workers, *running])

    def _left_of(self, case: Case, elapsed: float) -> float:
        share = self._share.get(case.key, 0.0)
        whole = elapsed / share if share > 0.05 else max(self._typical(case), elapsed * 1.1)
        return whole - elapsed

    def _typical(self, case: Case) -> float:
        """What was thought before, and what was seen since, from the whole probe down to the closest kind."""
        thought = PROBE_TABLE[case.probe].typical_s
        for kind in _kinds(case):
            seen = self._took.get(kind, ())
            thought = (TRUST * thought + sum(seen)) / (TRUST + len(seen))
        return thought


def _kinds(case: Case) -> tuple[Hashable, ...]:
    return (case.probe, (case.probe, case.network), (case.probe, case.network, case.algorithm, case.backend))
