"""The suite's own neurons that are built on LIF neurons; a LIF kernel computes what it can."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.kernels.beyond_lif import adaptive, filtered, initial_w, learnt_decay, refractory
from bench.nets.state import State
from bench.spec import AdaptiveLIF, BeyondLIF, Neuron, NeuronSpec, ParametricLIF, RefractoryLIF, SynapticLIF

Kernel = Callable[..., tuple[Tensor, Tensor]]  # (x, v, spec, decay=None), as kernels.lif.lif; it leaves x unchanged


class LearntDecay(nn.Module):
    """State: v."""

    def __init__(self, spec: ParametricLIF, lif: Kernel) -> None:
        super().__init__()
        self.spec, self.lif = spec, lif
        self.w = nn.Parameter(torch.empty(()))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.constant_(self.w, initial_w(self.spec))

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.lif(x, v, self.spec.lif, learnt_decay(self.w, self.spec))


class Synaptic(nn.Module):
    """State: [v, i]."""

    def __init__(self, spec: SynapticLIF, lif: Kernel) -> None:
        super().__init__()
        self.spec, self.lif = spec, lif

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        v, i = state or (None, None)
        currents, i = filtered(x, i, self.spec.current_decay)
        s, v = self.lif(currents, v, self.spec.lif)
        return s.to(x.dtype), [v, i]


class Adaptive(nn.Module):
    """State: [v, a]."""

    def __init__(self, spec: AdaptiveLIF) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        v, a = state or (None, None)
        s, v, a = adaptive(x, v, a, self.spec)
        return s, [v, a]


class Refractory(nn.Module):
    """State: [v, r]."""

    def __init__(self, spec: RefractoryLIF) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        v, r = state or (None, None)
        s, v, r = refractory(x, v, r, self.spec)
        return s, [v, r]


def beyond_lif(spec: BeyondLIF, lif: Kernel) -> nn.Module:
    """Return the neurons of ``spec``; those with a LIF neuron inside use the kernel ``lif``."""
    match spec:
        case ParametricLIF():
            return LearntDecay(spec, lif)
        case SynapticLIF():
            return Synaptic(spec, lif)
        case AdaptiveLIF():
            return Adaptive(spec)
        case RefractoryLIF():
            return Refractory(spec)


def in_plain_torch(spec: Neuron) -> str:
    """Return which part of such neurons no fused kernel computes; "" if there is none, as for the learnt decay."""
    match spec:
        case NeuronSpec() | ParametricLIF():
            return ""
        case SynapticLIF():
            return "the synaptic current"
        case AdaptiveLIF() | RefractoryLIF():
            return spec.words
