"""Layers with weights: convolutions and dense matrices, and the effective weights that they compute."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.nets.state import State, fold
from bench.spec import Conv, Dense

Presynaptic = Literal["spikes", "analog"]

LECUN_STD = 0.87962566103423978  # standard deviation of a standard normal that is cut off at +-2
WS_EPS = 1e-4  # sWS: keeps the square root away from zero (OTTT, public code)


class Synapse(nn.Module):
    """Weights between two layers. ``presynaptic``: whether its input is spikes, possibly scaled or pooled."""

    def __init__(self, presynaptic: Presynaptic) -> None:
        super().__init__()
        self.presynaptic = presynaptic
        self.bias: nn.Parameter | None = None
        self.held: Tensor | None = None  # cached effective weight (see ``holding_weights``)

    def effective_weight(self) -> Tensor:
        raise TypeError(f"{type(self).__name__} has no weight")

    def plain(self) -> bool:
        """Whether the effective weight is the weight itself."""
        return True

    def transmit(self, x: Tensor, weight: Tensor) -> Tensor:
        """[N, in...] -> [N, out...] with the given effective weight."""
        raise TypeError(f"{type(self).__name__} has no weight")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        weight = self.weight_now()
        return fold(x, lambda flat: self.transmit(flat, weight)), state

    def weight_now(self) -> Tensor:
        return self.effective_weight() if self.held is None else self.held


@contextmanager
def holding_weights(net: nn.Module) -> Iterator[None]:
    """In this context, compute each effective weight once, and back-propagate through it once, at the end.

    Weights must not change inside. Exact, because the backward pass of standardisation is linear in the gradient, so that
    gradients of several time steps can be summed first. Weights that an outer context holds are left to it.
    """
    synapses = [s for s in net.modules() if isinstance(s, Synapse) and not s.plain() and s.held is None]
    weights = [synapse.effective_weight() for synapse in synapses]
    for synapse, weight in zip(synapses, weights, strict=True):
        synapse.held = weight.detach().requires_grad_(weight.requires_grad)
    try:
        yield
        for synapse in synapses:
            weight, held, synapse.held = weights.pop(0), synapse.held, None
            if held is not None and held.grad is not None:
                weight.backward(held.grad)
    finally:
        for synapse in synapses:
            synapse.held = None


def standardised(weight: Tensor, gain: Tensor) -> Tensor:
    """Scaled weight standardisation: the effective weight of output channel i, from its N fan-in weights, is

    gain_i * (W_i - mean_i) / sqrt(var_i * N + 1e-4),  var unbiased  (OTTT, section on normalisation; public code).
    """
    var, mean = torch.var_mean(weight, dim=(1, 2, 3), keepdim=True)
    return (weight - mean) * (gain * torch.rsqrt(var * weight[0].numel() + WS_EPS))


class ConvSynapse(Synapse):
    """Convolution, with sWS if the spec is ``standardised``."""

    def __init__(self, spec: Conv, channels_in: int, presynaptic: Presynaptic) -> None:
        super().__init__(presynaptic)
        self.spec = spec
        self.convolve: Callable[..., Tensor] = F.conv2d
        self.standardise: Callable[[Tensor, Tensor], Tensor] = standardised
        self.factor = 1.0  # of the effective weight: the constant factor of its input (nets/folding.py)
        self.weight = nn.Parameter(torch.empty(spec.channels, channels_in, spec.kernel, spec.kernel))
        self.gain = nn.Parameter(torch.empty(spec.channels, 1, 1, 1)) if spec.standardised else None
        self.bias = nn.Parameter(torch.empty(spec.channels)) if spec.bias else None

    def reset_parameters(self, generator: torch.Generator) -> None:
        if self.spec.init == "zero":
            nn.init.zeros_(self.weight)
        else:
            drawn = torch.empty_like(self.weight, memory_format=torch.contiguous_format)  # drawing order is independent of layout
            nn.init.kaiming_normal_(drawn, mode="fan_out", nonlinearity="relu", generator=generator)
            self.weight.data.copy_(drawn)
        if self.gain is not None:
            nn.init.ones_(self.gain)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def effective_weight(self) -> Tensor:
        if self.gain is None:
            return self.weight if self.factor == 1 else self.weight * self.factor
        return self.standardise(self.weight, self.gain if self.factor == 1 else self.gain * self.factor)

    def plain(self) -> bool:
        return self.gain is None and self.factor == 1

    def transmit(self, x: Tensor, weight: Tensor) -> Tensor:
        return self.convolve(x, weight, self.bias, self.spec.stride, self.spec.padding)


class DenseSynapse(Synapse):
    """Fully connected: y = W x + b."""

    def __init__(self, spec: Dense, features_in: int, presynaptic: Presynaptic) -> None:
        super().__init__(presynaptic)
        self.spec = spec
        self.weight = nn.Parameter(torch.empty(spec.features, features_in))
        self.bias = nn.Parameter(torch.empty(spec.features)) if spec.bias else None

    def reset_parameters(self, generator: torch.Generator) -> None:
        bound = self.weight.shape[1] ** -0.5
        match self.spec.init:
            case "zero":
                nn.init.zeros_(self.weight)
            case "normal_0.01":
                nn.init.normal_(self.weight, 0.0, 0.01, generator=generator)
            case "default" | "default, zero bias":
                nn.init.uniform_(self.weight, -bound, bound, generator=generator)
            case "lecun":  # variance 1 / fan-in after truncation, as Flax's default
                std = bound / LECUN_STD
                nn.init.trunc_normal_(self.weight, 0.0, std, -2 * std, 2 * std, generator=generator)
        if self.bias is not None:
            if self.spec.init == "default":
                nn.init.uniform_(self.bias, -bound, bound, generator=generator)
            else:
                nn.init.zeros_(self.bias)

    def effective_weight(self) -> Tensor:
        return self.weight

    def transmit(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.linear(x, weight, self.bias)
