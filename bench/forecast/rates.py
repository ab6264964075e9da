"""How fast this machine computes: three rates, each measured for a fraction of a second. Imports torch.

    seconds of a step = MACs / (MACs per second) + bytes moved / (bytes per second) + operators * seconds per operator

MACs run at the rate of a convolution, forward and backward, if the network convolves, else at that of a matrix product. Bytes
move as in an elementwise product of tensors larger than the caches. An operator starts in the time that one on a single value
takes. All are measured with the number of threads that the case is given, on the device that it is given.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from bench.forecast.work import Work

MEASURED_S = 0.3  # for each rate
_SIDE = {"cpu": 512, "cuda": 4096}  # of the matrices
_IMAGES = {"cpu": 4, "cuda": 128}  # of the convolution
_CHANNELS, _PIXELS, _KERNEL = 128, 16, 3
_VALUES = {"cpu": 2**24, "cuda": 2**27}  # float32, more than caches hold
_OPERATORS = 200  # between two looks at the clock


@dataclass(frozen=True)
class Rates:
    """``product`` and ``convolution``: MACs per second; ``moved``: bytes per second; ``operator``: seconds per operator."""

    product: float
    convolution: float
    moved: float
    operator: float

    def seconds(self, work: Work) -> float:
        """Return the seconds of a training step."""
        multiplied = work.macs / (self.convolution if work.convolves else self.product)
        return multiplied + work.bytes_moved / self.moved + work.operators * self.operator


def measured(device: str, threads: int) -> Rates:
    """Measure the rates of ``device`` ("cpu" or "cuda") with ``threads`` of the CPU."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return Rates(_product(device), _convolution(device), _moved(device), _operator(device))
    finally:
        torch.set_num_threads(before)
        if device == "cuda":
            torch.cuda.empty_cache()  # the memory is for the cases


def _product(device: str) -> float:
    n = _SIDE[device]
    a, b = torch.randn(n, n, device=device), torch.randn(n, n, device=device)
    return n**3 / _seconds(lambda: a @ b, device)


def _convolution(device: str) -> float:
    conv = nn.Conv2d(_CHANNELS, _CHANNELS, _KERNEL, padding=_KERNEL // 2, device=device)
    x = torch.randn(_IMAGES[device], _CHANNELS, _PIXELS, _PIXELS, device=device, requires_grad=True)
    error = torch.randn_like(x)
    forward = x.numel() * _CHANNELS * _KERNEL**2
    return 3 * forward / _seconds(lambda: conv(x).backward(error), device)


def _moved(device: str) -> float:
    a, b = (torch.randn(_VALUES[device], device=device) for _ in range(2))
    out = torch.empty_like(a)
    return 3 * a.numel() * a.element_size() / _seconds(lambda: torch.mul(a, b, out=out), device)


def _operator(device: str) -> float:
    one = torch.ones(1, device=device)

    def start() -> None:
        for _ in range(_OPERATORS):
            one.mul(2.0)

    return _seconds(start, device) / _OPERATORS


def _seconds(call: Callable[[], object], device: str) -> float:
    """Return the median seconds of a call, after one that is not timed."""
    call()
    _wait(device)
    taken: list[float] = []
    began = time.perf_counter()
    while len(taken) < 3 or time.perf_counter() - began < MEASURED_S:
        start = time.perf_counter()
        call()
        _wait(device)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
