"""The goals of the native backend, and which of them a run meets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.probes.clock import ratio_in_turns
from bench.speed.rows import FLOOR
from bench.speed.saved import Saved
from bench.speed.turns import Run, Timed

EXACT = "bptt"  # rows of frameworks with BPTT's exact gradient


@dataclass(frozen=True)
class Ratio:
    """A ratio of two rows. Of times: median and quartiles of ``turns`` ratios, one per turn. Of bytes: exact."""

    value: float
    low: float
    high: float
    ours: str
    against: str
    turns: int = 0


@dataclass(frozen=True)
class Goal:
    """A goal; ``ratio(run)`` is None if the run lacks a row that it needs."""

    title: str
    cpu: float
    gpu: float
    ratio: Callable[[Run], Ratio | None]


def _least(run: Run, algorithm: str, native: bool, by: Callable[[Timed], float], backend: str | None = None) -> Timed | None:
    fitting = [
        timed
        for timed in run.timed
        if timed.row.algorithm == algorithm
        and (algorithm == FLOOR or timed.row.native is native)
        and backend in (None, timed.row.backend)
    ]
    return min(fitting, key=by, default=None)


def _seconds(timed: Timed) -> float:
    return timed.median


def _bytes(timed: Timed) -> float:
    assert timed.peak_bytes is not None
    return timed.peak_bytes


def _of_time(mine: Timed | None, other: Timed | None) -> Ratio | None:
    if mine is None or other is None:
        return None
    low, median, high = ratio_in_turns(mine.seconds, other.seconds)
    return Ratio(median, low, high, str(mine.row), str(other.row), len(mine.seconds))


def _of_bytes(mine: Timed | None, other: Timed | None) -> Ratio | None:
    if mine is None or other is None:
        return None
    ratio = _bytes(mine) / _bytes(other)
    return Ratio(ratio, ratio, ratio, str(mine.row), str(other.row))


FAST, BALANCED, OWN = "native-fast", "native-balanced", "spikingjelly-shipped"
GOALS = (
    Goal(
        "BPTT step, native fast / best framework", 0.65, 0.6,
        lambda run: _of_time(_least(run, EXACT, True, _seconds, FAST), _least(run, EXACT, False, _seconds)),
    ),
    Goal(
        "BPTT step, native fast / convolutions alone", 1.3, 1.3,
        lambda run: _of_time(_least(run, EXACT, True, _seconds, FAST), _least(run, FLOOR, False, _seconds)),
    ),
    Goal(
        "OTTT-A step, native / SpikingJelly's own", 0.6, 0.5,
        lambda run: _of_time(_least(run, "ottt-a", True, _seconds), _least(run, "ottt-a", False, _seconds, OWN)),
    ),
    Goal(
        "peak bytes of BPTT, native balanced / best framework", 0.35, 0.35,
        lambda run: _of_bytes(_least(run, EXACT, True, _bytes, BALANCED), _least(run, EXACT, False, _bytes)),
    ),
    Goal(
        "peak bytes of OTTT-A, native / SpikingJelly's own", 0.6, 0.6,
        lambda run: _of_bytes(_least(run, "ottt-a", True, _bytes), _least(run, "ottt-a", False, _bytes, OWN)),
    ),
)  # fmt: skip


def table(kept: Sequence[Saved]) -> str:
    """Return the goals as a Markdown table, one line per goal and workload, with columns for the CPU and the GPU."""
    heads = ("goal", "workload", "CPU", "at most", "GPU", "at most", "ours", "against", "measured")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for goal in GOALS:
        for saved in kept:
            run, found = saved.run, goal.ratio(saved.run)
            if found is None:
                continue
            on_cpu = run.device == "cpu"
            bold = "**" if found.value <= (goal.cpu if on_cpu else goal.gpu) else ""
            noise = f" ({found.low:.2f} to {found.high:.2f}, n = {found.turns})" if found.turns else ""
            shown = f"{bold}{found.value:.2f}{bold}{noise}"
            cpu, gpu = (shown, "not measured") if on_cpu else ("not measured", shown)
            cells = (goal.title, run.workload, cpu, goal.cpu, gpu, goal.gpu, found.ours, found.against, saved.told)
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines) + "\n"


def standing(runs: Sequence[Run]) -> str:
    """Return one line per goal: the number of workloads on which it is met."""
    lines = []
    for goal in GOALS:
        found = [(run, ratio.value) for run in runs if (ratio := goal.ratio(run)) is not None]
        met = [value for run, value in found if value <= (goal.cpu if run.device == "cpu" else goal.gpu)]
        if found:
            values = [value for _, value in found]
            lines.append(f"{goal.title}: met on {len(met)} of {len(found)} workloads, {min(values):.2f} to {max(values):.2f}")
    return "\n".join(lines) + "\n"
