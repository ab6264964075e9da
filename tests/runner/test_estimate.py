"""The estimate of the remaining time: from typical times, corrected by measured ones, and stable."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bench.case import Case
from bench.registry import PROBES
from bench.runner.estimate import Estimate

CASE = Case("p", "cost", "net", "bptt", "native", T=1, batch=1)


def cases() -> list[Case]:
    """Many short cases, then some long ones: an estimate by the rate of cases would be unstable."""
    counts = {"count": 7, "cost": 150, "equivalence": 20, "gradient": 2, "training": 5, "clock": 8}
    return [replace(CASE, probe=probe, T=T + 1) for probe, n in counts.items() for T in range(n)]


def ends(workers: int, speed: float) -> list[tuple[float, float]]:
    """Return (time, estimated end) at every event of a run on a machine ``speed`` times as fast as typical."""
    chance = random.Random("durations")
    seconds = {case.key: PROBES[case.probe].typical_s / speed * chance.uniform(0.5, 1.5) for case in cases()}
    estimate, waiting = Estimate(cases(), workers), cases()
    running: list[tuple[float, Case]] = []
    now, told = 0.0, []
    while waiting or running:
        while waiting and len(running) < (1 if waiting[0].probe == "clock" else workers):
            case = waiting.pop(0)
            estimate.started(case, now)
            running.append((now + seconds[case.key], case))
        told.append((now, now + estimate.left(now)))
        running.sort(key=lambda item: item[0])
        now, case = running.pop(0)
        estimate.finished(case, now)
    return [*told, (now, now + estimate.left(now))]


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_estimate_is_constant_on_a_typical_machine(workers: int) -> None:
    told = ends(workers, speed=1.0)
    end = told[-1][0]
    assert told[-1] == (end, end)
    assert all(0.65 * end < thought < 1.3 * end for _, thought in told), [round(thought / end, 2) for _, thought in told]


@pytest.mark.parametrize("speed", [0.4, 3.0])
def test_estimate_converges_monotonically_on_another_machine(speed: float) -> None:
    """The estimate gets closer at every event; by the middle it is within a third."""
    shown = ends(2, speed)
    end = shown[-1][0]
    assert all(1 / 3.5 < estimate / end < 3.5 for _, estimate in shown)
    for moment, estimate in shown:
        if moment > end / 2:
            assert abs(estimate - end) < end / 3, (moment / end, estimate / end)


def test_estimate_uses_the_reported_progress_of_a_training() -> None:
    training = replace(CASE, probe="training")
    estimate = Estimate([training], 1)
    estimate.started(training, 0.0)
    estimate.progress(training, 0.25)
    assert estimate.left(100.0) == pytest.approx(300.0)
