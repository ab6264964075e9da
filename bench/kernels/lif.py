"""A layer of LIF neurons over a window of K time steps: forward and backward through time in plain PyTorch.

    u[t] = decay * v[t-1] + x[t]        charge
    s[t] = 1 if u[t] >= V_th else 0     fire
    v[t] = u[t] - V_th * s[t]           soft reset      (hard: v[t] = u[t] * (1 - s[t]))

The gradient, with f = surrogate derivative at u[t] - V_th, and g_s, g_v, g_u, g_x the gradients of s, v, u, x:

    h[t]   = g_s[t] - (0 if the reset is detached, else V_th * g_v[t] (soft) or u[t] * g_v[t] (hard))
    g_u[t] = h[t] * f + g_v[t] * (1 (soft) or 1 - s[t] (hard)),   g_x[t] = g_u[t],   g_v[t-1] = decay * g_u[t]

Only u is saved for backward: s and v follow from it.
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
    def forward(ctx: Any, x: Tensor, v: Tensor | None, decay: Tensor | float, neuron: NeuronSpec) -> tuple[Tensor, Tensor]:
        u, s, after = run(x, v, decay, neuron)
        ctx.save_for_backward(u, v if torch.is_tensor(decay) else None, decay if torch.is_tensor(decay) else None)
        ctx.neuron = neuron
        ctx.set_materialize_grads(False)
        return s, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_s: Tensor | None, g_v: Tensor | None) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        u, v, decay = ctx.saved_tensors
        neuron: NeuronSpec = ctx.neuron
        g_u, g_v = through_time(u, g_s, g_v, neuron, ctx.needs_input_grad[1], decay)
        g_decay = through_decay(u, v, g_u, neuron, decay) if ctx.needs_input_grad[2] else None
        return g_u, g_v, g_decay, None


class _LIFInSpace(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, v: Tensor | None, neuron: NeuronSpec) -> tuple[Tensor, Tensor]:
        u, s, after = run(x, v, neuron.decay, neuron)
        ctx.save_for_backward(u)
        ctx.neuron = neuron
        ctx.mark_non_differentiable(after)
        return s, after

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_s: Tensor, _: None) -> tuple[Tensor, None, None]:
        (u,) = ctx.saved_tensors
        return derivative_(u - ctx.neuron.threshold, ctx.neuron.surrogate).mul_(g_s), None, None


def run(x: Tensor, v: Tensor | None, decay: Tensor | float, neuron: NeuronSpec) -> tuple[Tensor, Tensor, Tensor]:
    """Return u [K, B, ...], s [K, B, ...], and v [B, ...] after the last step. Potentials of bfloat16 currents are float32."""
    potential_type = torch.float32 if x.dtype == torch.bfloat16 else x.dtype
    u, s, after = (
        torch.empty_like(x, dtype=potential_type),
        torch.empty_like(x),
        torch.empty(x.shape[1:], dtype=potential_type, device=x.device),
    )
    if not x.shape[0]:
        after.zero_() if v is None else after.copy_(v)
    for t in range(x.shape[0]):
        if v is None:
            u[t].copy_(x[t])
        else:
            torch.mul(v, decay, out=u[t]).add_(x[t])
        torch.ge(u[t], neuron.threshold, out=s[t])
        if neuron.reset == "soft":
            torch.sub(u[t], s[t], alpha=neuron.threshold, out=after)
        else:
            torch.mul(u[t], 1 - s[t], out=after)
        v = after
    return u, s, after


def through_time(
    u: Tensor, g_s: Tensor | None, g_v: Tensor | None, neuron: NeuronSpec, further: bool, decay: Tensor | None = None
) -> tuple[Tensor, Tensor | None]:
    """Return g_x [K, B, ...] and g_v [B, ...] before the first step, from u, g_s and the g_v after the last step.

    ``further``: whether steps before these need a gradient; if not, the second is None. None represents zeros.
    """
    g_x = torch.empty_like(u)
    back = u.new_empty(u.shape[1:]) if u.shape[0] > 1 or further else None
    for t in reversed(range(u.shape[0])):
        f = derivative_(torch.sub(u[t], neuron.threshold, out=g_x[t]), neuron.surrogate)
        g_u = f.mul_(_through_spike(g_s[t] if g_s is not None else None, g_v, u[t], neuron))
        if g_v is not None:
            g_u.add_(g_v if neuron.reset == "soft" else g_v * (u[t] < neuron.threshold))
        if back is not None:
            g_v = torch.mul(g_u, neuron.decay if decay is None else decay, out=back)
    return g_x, g_v if further else None


def _through_spike(g_s: Tensor | None, g_v: Tensor | None, u: Tensor, neuron: NeuronSpec) -> Tensor | float:
    """Return the gradient of the spike: from the layer above, and through the reset unless that is detached."""
    if neuron.detach_reset or g_v is None:
        return 0.0 if g_s is None else g_s
    reset = g_v * (-neuron.threshold if neuron.reset == "soft" else -u)
    return reset if g_s is None else reset.add_(g_s)


def through_decay(u: Tensor, v: Tensor | None, g_u: Tensor, neuron: NeuronSpec, decay: Tensor) -> Tensor:
    """Return dL/ddecay = sum_t g_u[t] * v[t-1], summed to the shape of ``decay``."""
    s = (u[:-1] >= neuron.threshold).to(u.dtype)
    before = u[:-1] - neuron.threshold * s if neuron.reset == "soft" else u[:-1] * (1 - s)
    g_decay = (g_u[1:] * before).sum(0)
    return (g_decay if v is None else g_decay + (g_u[:1] * v).sum(0)).sum_to_size(decay.shape)


def lif(x: Tensor, v: Tensor | None, neuron: NeuronSpec, decay: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Run the neurons over a window.

    ``x`` [K, B, ...] input current; ``v`` [B, ...] membrane potential before the window, None for zero. ``decay`` replaces the
    neuron's own if it differs by channel or is learnt (PLIF), and gets a gradient; its shape must broadcast with [B, ...], e.g.
    [C, 1, 1].
    Returns the spikes [K, B, ...] and the membrane potential [B, ...] after the last step.
    """
    s, after = _LIF.apply(x, v, neuron.decay if decay is None else decay, neuron)
    return s, after


def lif_in_space(x: Tensor, v: Tensor | None, neuron: NeuronSpec) -> tuple[Tensor, Tensor]:
    """As ``lif``, but without gradient through time: g_x[t] = g_s[t] * f(u[t] - V_th), as in OTTT and SLTT."""
    s, after = _LIFInSpace.apply(x, v, neuron)
    return s, after
