"""Neurons, synapses and loops of the second implementation (naive.py): plain functions, nothing of this suite."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


class Parameters:
    """Returns parameters in order; each must have the requested shape."""

    def __init__(self, tensors: Iterable[Tensor]) -> None:
        self.left = list(tensors)

    def __call__(self, *shape: int) -> Tensor:
        tensor = self.left.pop(0)
        assert tuple(tensor.shape) == shape, f"a parameter of shape {tuple(tensor.shape)} where the sheet has {shape}"
        return tensor


class Wanted(Parameters):
    """Returns tensors on device 'meta' and records their shapes."""

    def __init__(self) -> None:
        super().__init__([])
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, *shape: int) -> Tensor:
        self.shapes.append(shape)
        return torch.empty(shape, device="meta")


# --------------------------------------------------------------------------- neurons


class Step(torch.autograd.Function):
    """1 if x >= 0. Surrogate: derivative of a sigmoid of steepness 4, triangle of height 1 over |x| < 1, or 1 / (1 + k|x|)^2."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: str) -> Tensor:
        ctx.save_for_backward(x)
        ctx.slope = slope
        return torch.where(x >= 0, 1.0, 0.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        if ctx.slope == "sigmoid":
            y = 1 / (1 + torch.exp(-4 * x))
            return g * 4 * y * (1 - y), None
        if ctx.slope.startswith("k = "):
            return g / (float(ctx.slope.removeprefix("k = ")) * x.abs() + 1) ** 2, None
        return g * torch.relu(1 - x.abs()), None


class LIF:
    """A layer of neurons with threshold 1; ``attached``: the gradient passes through the reset."""

    def __init__(self, decay: float, slope: str, *, attached: bool = False, dropout: float = 0.0) -> None:
        self.decay, self.slope, self.attached, self.dropout = decay, slope, attached, dropout
        self.v: Tensor | float = 0.0
        self.mask: Tensor | float | None = None

    def __call__(self, current: Tensor) -> Tensor:
        u = self.decay * self.v + current
        s = Step.apply(u - 1, self.slope)
        self.v = u - (s if self.attached else s.detach())
        if self.mask is None:
            self.mask = torch.empty_like(s).bernoulli_(1 - self.dropout) / (1 - self.dropout) if self.dropout else 1.0
        return s * self.mask


OTTT = partial(LIF, 0.5, "sigmoid")  # ottt.md 1.1, 1.5
SLTT = partial(LIF, 1 - 1 / 1.1, "triangle", attached=True)  # sltt.md 3
HYBRID = partial(LIF, 1.0, "triangle")  # skipper.md 4.1, without its delay and its factor 0.3
DECOLLE = partial(LIF, 0.97, "triangle")  # skipper.md 4.2; the rest assumed
TTL = partial(LIF, 0.5, "sigmoid")  # assumed


# --------------------------------------------------------------------------- synapses

Layer = Callable[[Tensor], Tensor]


def conv(w: Parameters, inputs: int, outputs: int, k: int = 3, stride: int = 1, *, bias: bool = True) -> Layer:
    weight = w(outputs, inputs, k, k)
    b = w(outputs) if bias else None
    return lambda x: F.conv2d(x, weight, b, stride, k // 2)


def standardised(w: Parameters, inputs: int, outputs: int, k: int = 3, stride: int = 1) -> Layer:
    """ottt.md 1.6"""
    weight, gain, b = w(outputs, inputs, k, k), w(outputs, 1, 1, 1), w(outputs)
    n = inputs * k * k
    d = weight - weight.sum((1, 2, 3), keepdim=True) / n
    variance = (d * d).sum((1, 2, 3), keepdim=True) / (n - 1)
    effective = gain * d / (variance * n + 1e-4).sqrt()
    return lambda x: F.conv2d(x, effective, b, stride, k // 2)


def dense(w: Parameters, inputs: int, outputs: int, *, bias: bool = True) -> Layer:
    weight, b = w(outputs, inputs), w(outputs) if bias else None
    return lambda x: F.linear(x, weight, b)


def batch_norm(w: Parameters, channels: int) -> Layer:
    """Batch norm with the statistics of one time step."""
    scale, shift = w(channels), w(channels)

    def forward(x: Tensor) -> Tensor:
        mean = x.mean((0, 2, 3), keepdim=True)
        variance = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
        return (x - mean) / (variance + 1e-5).sqrt() * scale[:, None, None] + shift[:, None, None]

    return forward


def halved(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 2)


def over_time(x: Tensor, layers: Sequence[Layer]) -> Tensor:
    """Run x[T, B, ...] through all layers, one time step after the other."""
    outs = []
    for x_t in x:
        for layer in layers:
            x_t = layer(x_t)
        outs.append(x_t)
    return torch.stack(outs)
