"""Counts a training step on shapes alone (bench/counting). Imports torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor
from torch._ops import OpOverload

from bench import zoo
from bench.case import Case
from bench.counting.step import batch_for, cost_of
from bench.counting.tape import watching
from bench.errors import Unavailable
from bench.forecast.work import Work
from bench.spec import Conv, every_layer
from bench.training_step import support, training_step


@dataclass
class _Started:
    """Observer that counts operators; views are none."""

    count: int = 0

    def on_operator(self, op: OpOverload, args: Sequence[object], reads: list[Tensor], outputs: list[Tensor]) -> None:
        self.count += 1


def work_of(case: Case) -> Work:
    """Count one training step of ``case``. Raises Unavailable if the combination does not exist here."""
    exists = support(case.network, case.algorithm, case.backend, T=case.T, options=case.algorithm_options)
    if not exists:
        raise Unavailable(exists.reason)
    step = training_step(case.network, case.algorithm, case.backend, device="meta", **case.algorithm_options)
    x, target = batch_for(step, case.T, case.batch, "meta")
    started = _Started()
    with watching(started):
        cost = cost_of(step, x, target)
    dense = cost.macs.dense
    return Work(
        macs=sum(dense.values()),
        bytes_moved=cost.traffic.conventions()["compulsory"],
        operators=started.count,
        convolves=any(isinstance(layer, Conv) for layer in every_layer(zoo.spec(case.network).layers)),
        forward=dense["forward"] / sum(dense.values()),
        peak_bytes=cost.memory.total,
    )
