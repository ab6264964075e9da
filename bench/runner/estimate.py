"""Estimates the remaining time of a run from typical times of its cases, corrected by the times of finished cases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from types import MappingProxyType

from bench.case import Case
from bench.registry import PROBES

TRUST = 2.0  # number of finished cases of a kind with the same weight as the prior estimate
TRUST_S = 10.0  # typical seconds of finished cases with the same weight as the prior that this machine is typical


class Estimate:
    """The remaining seconds of a run.

    A case is estimated by the typical time of its probe (``bench.registry``), times the slowness of this machine in this run.
    Finished cases correct the estimate: first those of the same probe, then those of the same network and algorithm. A forecast
    of a case (``forecast``: seconds by key) is taken as it is.
    """

    def __init__(self, cases: Iterable[Case], workers: int, forecast: Mapping[str, float] = MappingProxyType({})) -> None:
        self._pending = {case.key: case for case in cases}
        self._forecast = forecast
        self._workers = workers
        self._running: dict[str, tuple[Case, float]] = {}  # case and start time
        self._share: dict[str, float] = {}  # completed fraction of running cases that report it
        self._durations: dict[Hashable, list[float]] = defaultdict(list)
        self._seconds = self._expected = 0.0  # of all finished cases: measured and estimated

    def started(self, case: Case, now: float) -> None:
        self._pending.pop(case.key, None)
        self._running[case.key] = (case, now)

    def progress(self, case: Case, share: float) -> None:
        self._share[case.key] = share

    def finished(self, case: Case, now: float) -> None:
        self._pending.pop(case.key, None)
        _, began = self._running.pop(case.key, (case, now))
        self._seconds += now - began
        self._expected += PROBES[case.probe].typical_s
        for kind in _kinds(case):
            self._durations[kind].append(now - began)

    def left(self, now: float) -> float:
        """Return the remaining seconds, assuming that all workers stay busy, except for cases that run alone."""
        running = [self._left_of(case, now - began) for case, began in self._running.values()]
        alone = sum(self.of(case) for case in self._pending.values() if PROBES[case.probe].alone)
        parallel = sum(self.of(case) for case in self._pending.values() if not PROBES[case.probe].alone)
        return alone + max([(sum(running) + parallel) / self._workers, *running])

    def _left_of(self, case: Case, elapsed: float) -> float:
        share = self._share.get(case.key, 0.0)
        total = elapsed / share if share > 0.05 else max(self.of(case), elapsed * 1.1)
        return total - elapsed

    def of(self, case: Case) -> float:
        """Return the seconds that a case is expected to take from start to end."""
        if case.key in self._forecast:
            return self._forecast[case.key]
        slow = (TRUST_S + self._seconds) / (TRUST_S + self._expected)
        expected = PROBES[case.probe].typical_s * slow
        for kind in _kinds(case):
            seen = self._durations.get(kind, ())
            expected = (TRUST * expected + sum(seen)) / (TRUST + len(seen))
        return expected


def _kinds(case: Case) -> tuple[Hashable, ...]:
    """Return the kinds of a case, from its whole probe to the most specific."""
    return (case.probe, (case.probe, case.network), (case.probe, case.network, case.algorithm, case.backend))
