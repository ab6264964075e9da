"""Images per second of a training step, and its MACs per second over those of a matrix product.

    images/s = batch / seconds of a step          share = MACs of a step / seconds / (MACs per second of a matrix product)

The seconds are the median of several turns (bench/speed/timing.py), the MACs counted, dense ones (bench/counting). The product is
of large square matrices (bench/forecast/rates.py). On a GPU it is measured in float32 and in TF32, in which PyTorch computes
convolutions by default; the share is that of the faster.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from bench.errors import Unavailable
from bench.forecast.rates import measured
from bench.speed import timing
from bench.speed.rows import Row, Workload
from bench.speed.steps import able, counted, step_of

WORKLOADS = {"cuda": Workload("vgg-sws/cifar10", 6, 128), "cpu": Workload("vgg-sws-small/cifar10", 4, 8)}
ROWS = tuple(Row(algorithm, backend) for algorithm in ("bptt", "ottt-a") for backend in ("native", "native-fast"))
TURNS = 5


@dataclass(frozen=True)
class Throughput:
    """``images``: per second; ``share`` of the peak, between 0 and 1; ``seconds``: of each turn."""

    row: str
    images: float
    share: float
    seconds: tuple[float, ...]


def peaks(device: str, threads: int) -> dict[str, float]:
    """Return the MACs per second of a matrix product by its precision."""
    found = {"float32": measured(device, threads).product}
    if device == "cuda":
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high")
        try:
            found["TF32"] = measured(device, threads).product
        finally:
            torch.set_float32_matmul_precision(before)
    return found


def throughput(workload: Workload, rows: Sequence[Row], device: str, peak: float) -> list[Throughput]:
    """Time ``rows`` in turns on ``device``. Raises Unavailable if one cannot run here."""
    for row in rows:
        if not (answer := able(workload, row)):
            raise Unavailable(f"{row}: {answer.reason}")
    steps = {str(row): step_of(workload, row, device).run for row in rows}
    seconds = timing.in_turns(steps, TURNS, device)
    return [_of(workload, row, seconds[str(row)], peak) for row in rows]


def _of(workload: Workload, row: Row, seconds: Sequence[float], peak: float) -> Throughput:
    _, macs = counted(workload, row, workload.batch)
    assert macs is not None, "only the convolutions alone are not counted"
    median = statistics.median(seconds)
    return Throughput(str(row), workload.batch / median, macs / median / peak, tuple(seconds))
