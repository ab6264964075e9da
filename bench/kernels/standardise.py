"""Weight standardisation (sWS) in one pass forward and one backward. For the N fan-in weights W of an output channel, factor c:

    d = W - mean(W),   r = 1 / sqrt(sum(d^2) N / (N - 1) + eps),   y = c r d
    g_c = r sum(g d),   g_W = c r (g - mean(g) - r^2 N / (N - 1) sum(g d) d)

Two operators: compiled C++ on a CPU, PyTorch elsewhere. Intermediate values are not stored in the C++ version.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.errors import UserError

_operators = torch.library.Library("spikecost", "FRAGMENT")
_operators.define("standardise(Tensor weight, Tensor factor, float eps) -> (Tensor, Tensor, Tensor)")
_operators.define("standardise_backward(Tensor g, Tensor weight, Tensor factor, Tensor mean, Tensor scale) -> (Tensor, Tensor)")


def _standardise(weight: Tensor, factor: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """weight [O, N], factor [O] -> y [O, N], and mean and r [O] in double precision."""
    out = torch.empty_like(weight)
    mean, scale = (torch.empty(len(weight), dtype=torch.float64, device=weight.device) for _ in range(2))
    if weight.is_cpu:
        from bench.kernels import cpu

        cpu.standardise(weight, factor, eps, out, mean, scale)
    elif not weight.is_meta:
        var, middle = torch.var_mean(weight.double(), 1)
        mean.copy_(middle)
        scale.copy_((var * weight.shape[1] + eps).rsqrt())
        out.copy_((weight - mean[:, None]) * (factor * scale)[:, None])
    return out, mean, scale


def _standardise_backward(g: Tensor, weight: Tensor, factor: Tensor, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    g_weight, g_factor = torch.empty_like(weight), torch.empty_like(factor)
    if weight.is_cpu:
        from bench.kernels import cpu

        cpu.standardise_backward(g, weight, factor, mean, scale, g_weight, g_factor)
    elif not weight.is_meta:
        n, d = weight.shape[1], weight - mean[:, None]
        product = (g * d).sum(1)
        g_factor.copy_(scale * product)
        correction = (scale**2 * product * n / (n - 1))[:, None]
        g_weight.copy_((factor * scale)[:, None] * (g - g.double().mean(1, keepdim=True) - correction * d))
    return g_weight, g_factor


for _device in ("CPU", "CUDA", "Meta"):
    _operators.impl("standardise", _standardise, _device)
    _operators.impl("standardise_backward", _standardise_backward, _device)


class _Standardised(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, gain: Tensor, eps: float) -> Tensor:
        rows = _rows(weight)
        out, mean, scale = torch.ops.spikecost.standardise(rows, gain.flatten(), eps)
        ctx.save_for_backward(weight, gain, mean, scale)
        return _laid_out(out, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, None]:
        weight, gain, mean, scale = ctx.saved_tensors
        if g.stride() != weight.stride():
            g = torch.empty_like(weight).copy_(g)
        g_weight, g_gain = torch.ops.spikecost.standardise_backward(_rows(g), _rows(weight), gain.flatten(), mean, scale)
        return _laid_out(g_weight, weight), g_gain.view_as(gain), None


def _rows(weight: Tensor) -> Tensor:
    """View [O, I, kh, kw], dense per output channel in any layout, as [O, N] in memory order."""
    return weight.detach().as_strided((len(weight), weight[0].numel()), (weight[0].numel(), 1))


def _laid_out(rows: Tensor, weight: Tensor) -> Tensor:
    return rows.as_strided(weight.shape, weight.stride())


def standardised(weight: Tensor, gain: Tensor, eps: float) -> Tensor:
    """weight [O, I, kh, kw], contiguous or channels-last, gain [O, 1, 1, 1] -> the effective weight, in the same layout."""
    if weight.dtype == torch.bfloat16:  # too coarse for a variance
        return standardised(weight.float(), gain.float(), eps).to(weight.dtype)
    if weight.dtype not in (torch.float32, torch.float64):
        raise UserError(f"{weight.dtype}: the fused kernels run in float32, float64 or bfloat16; convert, or use backend native")
    y: Tensor = _Standardised.apply(weight, gain, eps)
    return y
