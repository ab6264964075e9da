"""Surrogate derivatives, used in place of the derivative of the Heaviside step."""

from __future__ import annotations

from math import pi
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
    """Return the Heaviside step of x = u - V_th (1 at x = 0), with a surrogate derivative."""
    s: Tensor = _Fire.apply(x, surrogate)
    return s


def derivative_(x: Tensor, surrogate: Surrogate) -> Tensor:
    """Replace x = u - V_th by the surrogate of ds/du, element-wise and in place. With steepness a = alpha:

    sigmoid        a * sigma(a x) * (1 - sigma(a x))     peak a/4
    triangle       a * max(0, 1 - a |x|)                 peak a, support |x| < 1/a
    rectangle      a where |x| < 1/(2a), else 0          peak a
    arctangent     a/2 / (1 + (pi/2 a x)^2)              peak a/2
    fast sigmoid   1 / (1 + a |x|)^2                     peak 1; its area is 2/a, that of all others 1
    """
    a = surrogate.alpha
    match surrogate.kind:
        case "sigmoid":
            sigma = x.mul_(a).sigmoid_()
            return sigma.addcmul_(sigma, sigma, value=-1).mul_(a)
        case "triangle":
            return x.abs_().mul_(-a).add_(1).clamp_(min=0).mul_(a)
        case "rectangle":
            return x.copy_(x.abs() * (2 * a) < 1).mul_(a)
        case "arctangent":
            return x.mul_(pi / 2 * a).square_().add_(1).reciprocal_().mul_(a / 2)
        case "fast sigmoid":
            return x.abs_().mul_(a).add_(1).square_().reciprocal_()
