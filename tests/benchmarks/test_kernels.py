"""Seconds of the kernels alone, each beside its plain-torch reference."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from bench.kernels import bits, compiler, fused, lif, pool, standardise
from bench.nets.layers import WS_EPS
from bench.nets.layers import standardised as standardised_in_torch
from bench.spec import NeuronSpec
from bench.speed.timing import WARM_UP
from tests.benchmarks.conftest import DEVICE

ROUNDS = 20
T, BATCH, MAP = 4, 8, (64, 16, 16)  # of the feature maps of a small VGG
NEURON = NeuronSpec()


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(DEVICE)


def spikes() -> Tensor:
    return (drawn(T, BATCH, *MAP) > 1).float()


def neurons(layer: Callable[..., tuple[Tensor, Tensor]]) -> tuple[Callable[[], Any], Callable[..., Any]]:
    x = drawn(T, BATCH, *MAP)
    return x.clone, lambda x: layer(x, None, NEURON)  # the input is consumed by the fused one


def neurons_backward(layer: Callable[..., tuple[Tensor, Tensor]]) -> tuple[Callable[[], Any], Callable[..., Any]]:
    x, g = drawn(T, BATCH, *MAP).requires_grad_(), torch.ones(T, BATCH, *MAP, device=DEVICE)
    return lambda: layer(x.clone(), None, NEURON)[0], lambda s: torch.autograd.grad(s, x, g)


def packing(pack: Callable[[Tensor], Tensor]) -> tuple[Callable[[], Any], Callable[..., Any]]:
    return spikes, pack


def unpacking(unpack: Callable[[Tensor, Tensor], Tensor]) -> tuple[Callable[[], Any], Callable[..., Any]]:
    s = spikes()
    packed = bits.pack(s)
    return lambda: packed, lambda packed: unpack(packed, s)


def standardising(of: Callable[[Tensor, Tensor], Tensor]) -> tuple[Callable[[], Any], Callable[..., Any]]:
    """Forward and backward."""
    weight, gain, g = drawn(256, 256, 3, 3).requires_grad_(), torch.ones(256, 1, 1, 1, device=DEVICE).requires_grad_(), 1.0
    return lambda: g, lambda g: torch.autograd.grad(of(weight, gain).sum() * g, (weight, gain))


def pooling(of: Callable[[Tensor], Tensor]) -> tuple[Callable[[], Any], Callable[..., Any]]:
    """Forward and backward."""
    x = drawn(T * BATCH, *MAP).requires_grad_()
    return lambda: x, lambda x: torch.autograd.grad(of(x).sum(), x)


KERNELS = {
    "neurons forward": (neurons, {"torch": lif.lif, "fused": fused.lif_}),
    "neurons backward": (neurons_backward, {"torch": lif.lif, "fused": fused.lif_}),
    "neurons without time, backward": (neurons_backward, {"torch": lif.lif_in_space, "fused": fused.lif_in_space_}),
    "packing to one bit": (packing, {"torch": bits.pack, "fused": fused.pack}),
    "unpacking from one bit": (
        unpacking,
        {
            "torch": lambda packed, s: bits.unpack(packed, s.shape, s.dtype),
            "fused": lambda packed, s: fused.unpack(packed, s.numel(), s.dtype),
        },
    ),
    "weight standardisation": (
        standardising,
        {"torch": standardised_in_torch, "fused": lambda weight, gain: standardise.standardised(weight, gain, WS_EPS)},
    ),
    "average pooling": (pooling, {"torch": partial(F.avg_pool2d, kernel_size=2), "fused": lambda x: pool.avg_pool(x, 2)}),
}
CASES = [pytest.param(kernel, by, id=f"{kernel}-{by}") for kernel, (_, ways) in KERNELS.items() for by in ways]


@pytest.mark.parametrize(("kernel", "by"), CASES)
def test_kernel(timed: BenchmarkFixture, kernel: str, by: str) -> None:
    if by == "fused" and not (answer := compiler.available()) and DEVICE == "cpu":
        pytest.skip(answer.reason)
    prepare, ways = KERNELS[kernel]
    make, work = prepare(ways[by])

    def run(made: Any) -> None:
        work(made)
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    timed.group, timed.name = f"{kernel}, on {DEVICE}", by
    timed.pedantic(run, setup=lambda: ((make(),), {}), rounds=ROUNDS, warmup_rounds=WARM_UP)
