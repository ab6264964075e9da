"""Time of a training step, as a ratio to native BPTT in the same run.

The step and native BPTT on the same network, batch and T are timed alternately, so that a slow moment of the machine affects
both. The value is the median of the ratios of all turns; the noise is given by their quartiles.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch

from bench.case import Case
from bench.counting.step import batch_for
from bench.errors import UserError
from bench.measurement import Measurement
from bench.options import Declared, whole
from bench.probes.resources import Resources
from bench.training_step import TrainingStep, training_step

VERSION = 2  # 1: the ratio of medians, which is less robust to a few slow turns


@dataclass(frozen=True)
class Options(Declared):
    repeats: int = whole(7, least=2, meaning="timed turns; quartiles need at least two")


WARM_UP = 2
LEAST = 2  # turns that quartiles need


def measure(case: Case, resources: Resources) -> list[Measurement]:
    device, repeats = resources.device, Options.named("probe clock", case.probe_options).repeats
    mine = training_step(case.network, case.algorithm, case.backend, device=device, seed=case.seed, **case.algorithm_options)
    reference = training_step(case.network, "bptt", "native", device=device, seed=case.seed)
    seconds = in_turns({"this": _runner(mine, case, device), "native bptt": _runner(reference, case, device)}, repeats, device)
    low, ratio, high = ratio_in_turns(seconds["this"], seconds["native bptt"])
    detail = {"raw": seconds["this"], "raw native bptt": seconds["native bptt"], "quartiles": [low, high], "device": device}
    return [Measurement("step_time_ratio", ratio, "x native BPTT", VERSION, detail)]


def require_turns(repeats: int) -> None:
    """Raise UserError if ``repeats`` is too small for quartiles."""
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < LEAST:
        raise UserError(f"repeats = {repeats!r}: quartiles need at least {LEAST} turns; use repeats >= {LEAST}")


def in_turns(steps: Mapping[str, Callable[[], object]], repeats: int, device: str = "cpu") -> dict[str, list[float]]:
    """Return the seconds of each step in ``repeats`` turns after a warm-up.

    Every turn runs each step once; the device is synchronised before the clock is read.
    """
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
    """Return (lower quartile, median, upper quartile) of ``mine / other`` per turn; both in seconds, in the order of turns."""
    low, median, high = statistics.quantiles([a / b for a, b in zip(mine, other, strict=True)], n=4)
    return low, median, high


def _runner(step: TrainingStep, case: Case, device: str) -> Callable[[], object]:
    x, target = batch_for(step, case.T, case.batch, device)
    return lambda: step.run(x, target)


def _synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
