"""Time of a training step, as a ratio to native BPTT in the same run.

The step and native BPTT on the same network, batch and T are timed alternately, so that a slow moment of the machine affects
both. The value is the median of the ratios of all turns; the noise is given by their quartiles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench.case import Case
from bench.counting.step import batch_for
from bench.measurement import Measurement
from bench.options import Declared, whole
from bench.probes.resources import Resources
from bench.speed.timing import in_turns, ratio_in_turns
from bench.training_step import TrainingStep, training_step

VERSION = 2  # 1: the ratio of medians, which is less robust to a few slow turns


@dataclass(frozen=True)
class Options(Declared):
    repeats: int = whole(7, least=2, meaning="timed turns; quartiles need at least two")


def measure(case: Case, resources: Resources) -> list[Measurement]:
    device, repeats = resources.device, Options.named("probe clock", case.probe_options).repeats
    mine = training_step(case.network, case.algorithm, case.backend, device=device, seed=case.seed, **case.algorithm_options)
    reference = training_step(case.network, "bptt", "native", device=device, seed=case.seed)
    seconds = in_turns({"this": _runner(mine, case, device), "native bptt": _runner(reference, case, device)}, repeats, device)
    low, ratio, high = ratio_in_turns(seconds["this"], seconds["native bptt"])
    detail = {"raw": seconds["this"], "raw native bptt": seconds["native bptt"], "quartiles": [low, high], "device": device}
    return [Measurement("step_time_ratio", ratio, "x native BPTT", VERSION, detail)]


def _runner(step: TrainingStep, case: Case, device: str) -> Callable[[], object]:
    x, target = batch_for(step, case.T, case.batch, device)
    return lambda: step.run(x, target)
