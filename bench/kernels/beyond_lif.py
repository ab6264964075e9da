"""Neurons built on LIF, over a window of K time steps in plain PyTorch; autograd makes their gradient.

Equations: bench/spec/neurons.py. States are [B, ...]; None is zero. Potentials of bfloat16 currents are float32, as in lif.py.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.kernels.surrogate import fire
from bench.spec import AdaptiveLIF, NeuronSpec, ParametricLIF, RefractoryLIF


def learnt_decay(w: Tensor, spec: ParametricLIF) -> Tensor:
    """Return the decay of the parameter w."""
    return torch.sigmoid(-w) if spec.learnt_as == "sigmoid" else w.clamp(0, 1)


def initial_w(spec: ParametricLIF) -> float:
    """Return the parameter of the initial decay."""
    decay = spec.lif.decay
    return math.log((1 - decay) / decay) if spec.learnt_as == "sigmoid" else decay


def filtered(x: Tensor, i: Tensor | None, decay: float) -> tuple[Tensor, Tensor]:
    """Return the currents i[t] = decay * i[t-1] + x[t] [K, B, ...] and the last of them [B, ...]."""
    currents = []
    for x_t in widened(x):
        i = x_t if i is None else i * decay + x_t
        currents.append(i)
    return torch.stack(currents), currents[-1]


def adaptive(x: Tensor, v: Tensor | None, a: Tensor | None, spec: AdaptiveLIF) -> tuple[Tensor, Tensor, Tensor]:
    """Return spikes [K, B, ...], membrane potential and adaptation after the last step."""
    lif, spikes = spec.lif, []
    for x_t in widened(x):
        u = x_t if v is None else v * lif.decay + x_t
        s = fire(u - lif.threshold if a is None else u - (a * spec.strength + lif.threshold), lif.surrogate)
        v = _reset(u, s, lif)
        a = s if a is None else a * spec.adaptation_decay + s
        spikes.append(s)
    assert v is not None, "a window of no time steps"
    assert a is not None
    return torch.stack(spikes).to(x.dtype), v, a


def refractory(x: Tensor, v: Tensor | None, r: Tensor | None, spec: RefractoryLIF) -> tuple[Tensor, Tensor, Tensor]:
    """Return spikes [K, B, ...], membrane potential and the steps of silence that are left (int8) after the last step."""
    lif, spikes = spec.lif, []
    for x_t in widened(x):
        u = x_t if v is None else v * lif.decay + x_t
        if v is not None and r is not None:
            ready = r == 0
            u = torch.where(ready, u, v)
            s = fire(u - lif.threshold, lif.surrogate) * ready
        else:
            s = fire(u - lif.threshold, lif.surrogate)
        left = torch.zeros_like(u, dtype=torch.int8) if r is None else (r - 1).clamp_(min=0)
        r = left.masked_fill_(s.detach() > 0, spec.steps)
        v = _reset(u, s, lif)
        spikes.append(s)
    assert v is not None, "a window of no time steps"
    assert r is not None
    return torch.stack(spikes).to(x.dtype), v, r


def widened(x: Tensor) -> Tensor:
    return x.float() if x.dtype == torch.bfloat16 else x


def _reset(u: Tensor, s: Tensor, lif: NeuronSpec) -> Tensor:
    gate = s.detach() if lif.detach_reset else s
    return u - gate * lif.threshold if lif.reset == "soft" else u * (1 - gate)
