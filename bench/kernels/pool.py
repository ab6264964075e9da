"""Average pooling of windows that do not overlap; its backward pass keeps nothing and fills nothing with zeros.

y[i, j] = mean of x over the k x k window (i, j),   g_x = g_y / k^2 all over the window
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable


class _AvgPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, k: int) -> Tensor:
        ctx.k, ctx.shape = k, x.shape
        return F.avg_pool2d(x, k)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        k: int = ctx.k
        (h, w), innermost = g.shape[2:], g.is_contiguous(memory_format=torch.channels_last)
        layout = torch.channels_last if innermost else torch.contiguous_format
        g_x = torch.empty(ctx.shape, dtype=g.dtype, device=g.device, memory_format=layout)
        g_x[:, :, h * k :] = 0  # rows and columns that fill no window
        g_x[:, :, :, w * k :] = 0
        windows = g_x[:, :, : h * k, : w * k].unflatten(3, (w, k)).unflatten(2, (h, k))
        torch.mul(g[:, :, :, None, :, None].expand_as(windows), 1 / k**2, out=windows)
        return g_x, None


def avg_pool(x: Tensor, k: int) -> Tensor:
    """x [N, C, H, W] -> [N, C, H // k, W // k]."""
    y: Tensor = _AvgPool.apply(x, k)
    return y
