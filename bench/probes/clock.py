"""Seconds of a training step, only ever as a ratio within one run.

The step is timed in turns with the native backend's BPTT on the same network, batch and T, so that a slow moment of the machine
falls on both: the value is the median of the ratios turn by turn, and the noise figure is their quartiles.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from bench.options import of_probe
from bench.probes.cost import batch_for
from bench.spec import Case, Measurement, UserError
from bench.training_step import TrainingStep, training_step

VERSION = 2  # 1: the ratio of medians, which a slow spell that falls on few turns moves more
WARM_UP = 2
LEAST = 2  # turns that quartiles take


def measure(case: Case, device: str = "cpu") -> list[Measurement]:
    repeats = of_probe(case).repeats
    mine = training_step(case.network, case.algorithm, case.backend, device=device, seed=case.seed, **case.algorithm_options)
    reference = training_step(case.network, "bptt", "native", device=device, seed=case.seed)
    seconds = in_turns({"this": _runner(mine, case, device), "native bptt": _runner(reference, case, device)}, repeats, device)
    low, ratio, high = ratio_in_turns(seconds["this"], seconds["native bptt"])
    detail = {"raw": seconds["this"], "raw native bptt": seconds["native bptt"], "quartiles": [low, high], "device": device}
    return [Measurement("step_time_ratio", ratio, "x native BPTT", VERSION, detail)]


def require_turns(repeats: int) -> None:
    """UserError where there would be no quartiles."""
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < LEAST:
        raise UserError(
            f"repeats = {repeats!r}: the quartiles of a step's time take whole turns, {LEAST} at least; use repeats >= 2"
        )


def in_turns(steps: Mapping[str, Callable[[], object]], repeats: int, device: str = "cpu") -> dict[str, list[float]]:
    """Time each step ``repeats`` times, one after the other in every turn, after a warm-up; clocks read synchronised."""
    require_turns(repeats)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(WARM_UP + repeats):
        for name, step in steps.items():
            _synchronise(device)
            began = time.perf_counter()
            step()
            _synchronise(device)
            if turn >= WARM_UP:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio_in_turns(mine: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """(lower quartile, median, upper quartile) of ``mine / other`` turn by turn; both in seconds, in the order of the turns."""
    low, median, high = statistics.quantiles([a / b for a, b in zip(mine, other, strict=True)], n=4)
    return low, median, high


def _runner(step: TrainingStep, case: Case, device: str) -> Callable[[], object]:
    x, target = batch_for(step, case.T, case.batch, device)
    return lambda: step.run(x, target)


def _synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
