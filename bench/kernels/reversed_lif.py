"""A layer of LIF neurons with known spikes, run backwards in time over a window of K time steps.

    u[t]   = v[t] + V_th * s[t]              invert the soft reset
    v[t-1] = (u[t] - x[t]) / decay           invert the charge

Spikes and gradient are those of kernels/lif.py. A hard reset cannot be inverted: v[t] = 0 does not determine u[t].
Rounding errors grow by 1 / decay per step; the caller should replace v by the true value where it is saved.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.kernels.bits import unpack
from bench.kernels.lif import through_time
from bench.spec import NeuronSpec


class CarriedGradient:
    """Holds dL/dv [B, ...], passed from a window to the one before it."""

    def __init__(self) -> None:
        self.g_v: Tensor | None = None


class _ReversedLIF(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, v: Tensor, bits: Tensor, neuron: NeuronSpec, carry: CarriedGradient
    ) -> tuple[Tensor, Tensor]:
        s, u = unpack(bits, x.shape, x.dtype), torch.empty_like(x)
        for t in reversed(range(x.shape[0])):
            torch.add(v, s[t], alpha=neuron.threshold, out=u[t])
            v = torch.sub(u[t], x[t]).div_(neuron.decay)
        ctx.save_for_backward(u)
        ctx.neuron, ctx.carry = neuron, carry
        ctx.mark_non_differentiable(v)
        ctx.set_materialize_grads(False)
        return s, v

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_s: Tensor | None, _: None) -> tuple[Tensor, None, None, None, None]:
        (u,) = ctx.saved_tensors
        g_x, ctx.carry.g_v = through_time(u, g_s, ctx.carry.g_v, ctx.neuron, True)
        return g_x, None, None, None, None


def reversed_lif(x: Tensor, v: Tensor, bits: Tensor, neuron: NeuronSpec, carry: CarriedGradient) -> tuple[Tensor, Tensor]:
    """Run the neurons backwards over a window.

    ``x`` [K, B, ...] input current; ``v`` [B, ...] membrane potential after the window; ``bits`` its packed spikes.
    Returns the spikes [K, B, ...] and the membrane potential [B, ...] before the window. Back-propagation reads dL/dv after the
    window from ``carry`` and stores dL/dv before it there.
    """
    s, before = _ReversedLIF.apply(x, v, bits, neuron, carry)
    return s, before
