"""A layer of LIF neurons over a window of K time steps: forward and backward through time in plain PyTorch.

    u[t] = decay * v[t-1] + x[t]        charge
    s[t] = 1 if u[t] >= V_th else 0     fire
    v[t] = u[t] - V_th * s[t]           soft reset      (hard: v[t] = u[t] * (1 - s[t]))

The gradient, with f = surrogate derivative at u[t] - V_th and g_v the gradient that comes back through v[t]:

    h[t]   = g_s[t] - (0 if the reset is detached, else V_th * g_v[t] (soft) or u[t] * g_v[t] (hard))
    g_u[t] = h[t] * f + g_v[t] * (1 (soft) or 1 - s[t] (hard)),   g_x[t] = g_u[t],   g_v[t-1] = decay * g_u[t]

Only u is kept for the backward pass: s and v follow from it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.kernels.surrogate import derivative_
from bench.spec import NeuronSpec


class _LIF(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, v: Tensor | None, neuron: NeuronSpec) -> tuple[Tensor, Tensor]:
        u, s, carried = torch.empty_like(x), torch.empty_like(x), torch.empty_like(x[0])
        for t in range(x.shape[0]):
            if v is None:
                u[t].copy_(x[t])
            else:
                torch.mul(v, neuron.decay, out=u[t]).add_(x[t])
            torch.ge(u[t], neuron.threshold, out=s[t])
            if neuron.reset == "soft":
                torch.sub(u[t], s[t], alpha=neuron.threshold, out=carried)
            else:
                torch.mul(u[t], 1 - s[t], out=carried)
            v = carried
        ctx.save_for_backward(u)
        ctx.neuron = neuron
        ctx.set_materialize_grads(False)
        return s, carried

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_s: Tensor | None, g_v: Tensor | None) -> tuple[Tensor | None, Tensor | None, None]:
        (u,) = ctx.saved_tensors
        g_x, g_v = through_time(u, g_s, g_v, ctx.neuron, ctx.needs_input_grad[1])
        return g_x, g_v, None


def through_time(
    u: Tensor, g_s: Tensor | None, g_v: Tensor | None, neuron: NeuronSpec, further: bool
) -> tuple[Tensor, Tensor | None]:
    """(g_x [K, B, ...], g_v [B, ...] before the first step) from u, g_s and the g_v after the last step.

    ``further``: whether the gradient goes on to steps before these; else the second is None. None stands for zeros.
    """
    g_x = torch.empty_like(u)
    back = torch.empty_like(u[0]) if u.shape[0] > 1 or further else None
    for t in reversed(range(u.shape[0])):
        f = derivative_(torch.sub(u[t], neuron.threshold, out=g_x[t]), neuron.surrogate)
        g_u = f.mul_(_through_spike(g_s[t] if g_s is not None else None, g_v, u[t], neuron))
        if g_v is not None:
            g_u.add_(g_v if neuron.reset == "soft" else g_v * (u[t] < neuron.threshold))
        if back is not None:
            g_v = torch.mul(g_u, neuron.decay, out=back)
    return g_x, g_v if further else None


def _through_spike(g_s: Tensor | None, g_v: Tensor | None, u: Tensor, neuron: NeuronSpec) -> Tensor | float:
    """The gradient at the spike: from the layer above, and through the reset where that is not detached."""
    if neuron.detach_reset or g_v is None:
        return 0.0 if g_s is None else g_s
    reset = g_v * (-neuron.threshold if neuron.reset == "soft" else -u)
    return reset if g_s is None else reset.add_(g_s)


def lif(x: Tensor, v: Tensor | None, neuron: NeuronSpec) -> tuple[Tensor, Tensor]:
    """Run the neurons over a window.

    ``x`` [K, B, ...] input current; ``v`` [B, ...] membrane potential carried in, None for the zero state.
    Returns the spikes [K, B, ...] and the membrane potential [B, ...] after the last step.
    """
    s, carried = _LIF.apply(x, v, neuron)
    return s, carried
