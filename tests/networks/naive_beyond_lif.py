"""Second statements, as in naive.py, of the networks in bench/zoo/beyond_lif.py: from the equations in the papers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import pi
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.networks.naive import CLASSES
from tests.networks.pieces import Layer, Parameters, batch_norm, conv, dense, over_time


class Step(torch.autograd.Function):
    """1 if x >= 0; surrogate 1 / (1 + (pi x)^2), the arctangent of steepness 2."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, 0.0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return g / (1 + (pi * x) ** 2)


# --------------------------------------------------------------------------- neurons, all with soft, detached reset


class LIF:
    def __init__(self, w: Parameters, threshold: float = 1.0) -> None:
        self.v: Tensor | float = 0.0
        self.threshold = threshold

    def decay(self) -> Tensor | float:
        return 0.5

    def charged(self, x: Tensor) -> Tensor:
        return self.decay() * self.v + x

    def __call__(self, x: Tensor) -> Tensor:
        u = self.charged(x)
        s = Step.apply(u - self.threshold)
        self.v = u - self.threshold * s.detach()
        return s


class PLIF(LIF):
    """Fang et al. 2021: u[t] = v[t-1] - sigmoid(w) v[t-1] + x[t]."""

    def __init__(self, w: Parameters) -> None:
        super().__init__(w)
        self.w = w()

    def decay(self) -> Tensor:
        return 1 - 1 / (1 + torch.exp(-self.w))


class Clamped(PLIF):
    def decay(self) -> Tensor:
        return torch.clamp(self.w, 0, 1)


class Synaptic(LIF):
    def __init__(self, w: Parameters) -> None:
        super().__init__(w)
        self.i: Tensor | float = 0.0

    def charged(self, x: Tensor) -> Tensor:
        self.i = 0.8 * self.i + x
        return super().charged(self.i)


class ALIF(LIF):
    """Bellec et al. 2020: the threshold is 1 + 0.2 a."""

    def __init__(self, w: Parameters) -> None:
        super().__init__(w)
        self.a: Tensor | float = 0.0

    def __call__(self, x: Tensor) -> Tensor:
        u = self.charged(x)
        s = Step.apply(u - (1 + 0.2 * self.a))
        self.v, self.a = u - s.detach(), 0.97 * self.a + s
        return s


class Refractory(LIF):
    """Silent for two steps after a spike; meanwhile the potential stays."""

    def __init__(self, w: Parameters) -> None:
        super().__init__(w)
        self.silent: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        silent = torch.zeros_like(x, dtype=torch.long) if self.silent is None else self.silent
        before = self.v
        s = super().__call__(x)
        s = torch.where(silent > 0, 0.0, s)
        self.v = torch.where(silent > 0, before, self.v) if isinstance(before, Tensor) else self.v
        self.silent = torch.where(silent > 0, silent - 1, 2 * s.detach().long())
        return s


# --------------------------------------------------------------------------- networks


def highest(x: Tensor) -> Tensor:
    """The largest of each 2 x 2 window."""
    even = x[..., : x.shape[-2] // 2 * 2, : x.shape[-1] // 2 * 2]
    return even.unfold(-2, 2, 2).unfold(-2, 2, 2).flatten(-2).amax(-1)


def normed(w: Parameters, inputs: int, outputs: int, neurons: Callable[[Parameters], Layer], k: int = 3) -> list[Layer]:
    return [conv(w, inputs, outputs, k, bias=False), batch_norm(w, outputs), neurons(w)]


def convolutional(w: Parameters, x: Tensor, dataset: str, *, neurons: Callable[[Parameters], Layer]) -> Tensor:
    layers = [*normed(w, 2, 8, neurons), max_pool, *normed(w, 8, 16, neurons), max_pool]
    readout = dense(w, 16 * (x.shape[3] // 4) ** 2, CLASSES[dataset])
    return over_time(x, [*layers, lambda s: s.flatten(1), readout])


def max_pool(x: Tensor) -> Tensor:
    """Of equal values PyTorch gives the gradient to the first, amax to all, so pooling is PyTorch's and checked apart."""
    y = F.max_pool2d(x, 2)
    assert x.is_meta or torch.equal(y.detach(), highest(x.detach()))
    return y


def alif(w: Parameters, x: Tensor, dataset: str) -> Tensor:
    side = x.shape[3] // 2
    entry, recurrent, readout = dense(w, 2 * side * side, 32), dense(w, 32, 32), dense(w, 32, CLASSES[dataset])
    neurons, outs, s = ALIF(w), [], None
    for x_t in x:
        current = entry(F.avg_pool2d(x_t, 2).flatten(1))
        s = neurons(current if s is None else current + recurrent(s))
        outs.append(readout(s))
    return torch.stack(outs)


def normalised(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    mean = x.mean(dims, keepdim=True)
    return (x - mean) / (((x - mean) ** 2).mean(dims, keepdim=True) + 1e-5).sqrt()


def group_norm(w: Parameters, channels: int, groups: int) -> Layer:
    scale, shift = w(channels), w(channels)

    def forward(x: Tensor) -> Tensor:
        y = normalised(x.reshape(len(x), groups, -1), (2,)).reshape(x.shape)
        return y * scale[:, None, None] + shift[:, None, None]

    return forward


def layer_norm(w: Parameters, features: int) -> Layer:
    scale, shift = w(features), w(features)
    return lambda x: normalised(x, (1,)) * scale + shift


def norms(w: Parameters, x: Tensor, dataset: str) -> Tensor:
    layers: list[Layer] = []
    for inputs, groups, pool in ((2, 2, lambda s: F.avg_pool2d(s, 2)), (8, 1, max_pool)):
        layers += [conv(w, inputs, 8, bias=False), group_norm(w, 8, groups), LIF(w), pool]
    hidden = dense(w, 8 * (x.shape[3] // 4) ** 2, 32)
    return over_time(x, [*layers, lambda s: s.flatten(1), hidden, layer_norm(w, 32), LIF(w), dense(w, 32, CLASSES[dataset])])


def spikformer(w: Parameters, x: Tensor, dataset: str) -> Tensor:
    stem = [*normed(w, 2, 8, LIF), max_pool, *normed(w, 8, 16, LIF), max_pool]
    attention, mlp = self_attention(w), [*normed(w, 16, 32, LIF, 1), *normed(w, 32, 16, LIF, 1)]

    def block(x: Tensor) -> Tensor:
        x = x + attention(x)
        y = x
        for layer in mlp:
            y = layer(y)
        return x + y

    return over_time(x, [*stem, block, lambda y: y.mean((2, 3)), dense(w, 16, CLASSES[dataset])])


def self_attention(w: Parameters) -> Layer:
    """Four heads of 4 channels; for each sample and head a sum over places and channels."""
    q, k, v = (normed(w, 16, 16, LIF, 1) for _ in range(3))
    neurons, project = LIF(w, 0.5), normed(w, 16, 16, LIF, 1)

    def through(layers: list[Layer], x: Tensor) -> Tensor:
        for layer in layers:
            x = layer(x)
        return x

    def forward(x: Tensor) -> Tensor:
        side = x.shape[2:]
        a, b, c = (through(branch, x).reshape(len(x), 4, 4, -1) for branch in (q, k, v))
        weights = torch.einsum("bhdn,bhdm->bhnm", a, b)
        y = 0.125 * torch.einsum("bhnm,bhdm->bhdn", weights, c)
        return through(project, neurons(y.reshape(len(x), 16, *side)))

    return forward


STATEMENTS: dict[str, Callable[[Parameters, Tensor, str], Tensor]] = {
    "plif": partial(convolutional, neurons=PLIF),
    "plif-clamped": partial(convolutional, neurons=Clamped),
    "synaptic": partial(convolutional, neurons=Synaptic),
    "alif": alif,
    "refractory": partial(convolutional, neurons=Refractory),
    "norms": norms,
    "spikformer": spikformer,
}
