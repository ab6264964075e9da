"""Surrogate derivatives: what stands in for the derivative of the Heaviside step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.spec import Surrogate


class _Fire(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, surrogate: Surrogate) -> Tensor:
        ctx.save_for_backward(x)
        ctx.surrogate = surrogate
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return derivative_(x.clone(), ctx.surrogate).mul_(grad), None


def fire(x: Tensor, surrogate: Surrogate) -> Tensor:
    """The Heaviside step of x = u - V_th, one at zero, with a surrogate derivative."""
    s: Tensor = _Fire.apply(x, surrogate)
    return s


def derivative_(x: Tensor, surrogate: Surrogate) -> Tensor:
    """Replace x = u - V_th by the surrogate of ds/du there, elementwise and in place.

    sigmoid    a * sigma(a x) * (1 - sigma(a x))     peak a/4 at x = 0
    triangle   a * max(0, 1 - a |x|)                 peak a at x = 0, support |x| < 1/a
    """
    a = surrogate.alpha
    if surrogate.kind == "sigmoid":
        sigma = x.mul_(a).sigmoid_()
        return sigma.addcmul_(sigma, sigma, value=-1).mul_(a)
    return x.abs_().mul_(-a).add_(1).clamp_(min=0).mul_(a)
