"""Cost: memory, multiply-accumulates and traffic of one training step, at the paper's size, on shapes alone (bench/counting)."""

from __future__ import annotations

from dataclasses import dataclass

from bench.case import Case
from bench.counting.step import batch_for, cost_of
from bench.measurement import Measurement
from bench.options import Declared
from bench.probes.resources import Resources
from bench.training_step import training_step

VERSION = 1


@dataclass(frozen=True)
class Options(Declared):
    """No options."""


def measure(case: Case, resources: Resources) -> list[Measurement]:
    """Return one Measurement each for peak live bytes, dense MACs, multiplications and traffic in bytes."""
    step = training_step(case.network, case.algorithm, case.backend, device="meta", **case.settings)
    cost = cost_of(step, *batch_for(step, case.T, case.batch, "meta"))
    peak, macs, traffic = cost.memory, cost.macs, cost.traffic.conventions()
    return [
        Measurement("peak_live_bytes", peak.total, "B", VERSION, {**peak.by_category, "operator": peak.operator}),
        Measurement("step_macs", sum(macs.dense.values()), "MAC", VERSION, macs.dense),
        Measurement("step_multiplications", sum(macs.multiplications.values()), "MAC", VERSION, macs.multiplications),
        Measurement("traffic_bytes", traffic["compulsory"], "B", VERSION, traffic),
    ]  # fmt: skip
