"""Average pooling over windows that do not overlap. It saves nothing for backward, and writes the gradient in one pass.

y[i, j] = mean of x over the k x k window (i, j),   g_x = g_y / k^2 in the window, 0 outside all windows
The backward pass is the operator torch.ops.spikecost.avg_pool_backward: compiled C++ on a CPU, else PyTorch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

_operators = torch.library.Library("spikecost", "FRAGMENT")
_operators.define("avg_pool_backward(Tensor g, int k, SymInt height, SymInt width) -> Tensor")


def _avg_pool_backward(g: Tensor, k: int, height: int, width: int) -> Tensor:
    layout = torch.channels_last if g.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    g = g.contiguous(memory_format=layout)
    g_x = torch.empty((*g.shape[:2], height, width), dtype=g.dtype, device=g.device, memory_format=layout)
    if g.is_cpu:
        from bench.kernels import cpu

        cpu.pool_backward(g, g_x, k)
    elif not g.is_meta:
        _spread(g, g_x, k)
    return g_x


def _spread(g: Tensor, g_x: Tensor, k: int) -> None:
    h, w = g.shape[2:]
    g_x[:, :, h * k :] = 0  # remaining rows and columns, in no window
    g_x[:, :, :, w * k :] = 0
    windows = g_x[:, :, : h * k, : w * k].unflatten(3, (w, k)).unflatten(2, (h, k))
    torch.mul(g[:, :, :, None, :, None].expand_as(windows), 1 / k**2, out=windows)


for _device in ("CPU", "CUDA", "Meta"):
    _operators.impl("avg_pool_backward", _avg_pool_backward, _device)


class _AvgPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, k: int) -> Tensor:
        ctx.k, ctx.shape = k, x.shape
        return F.avg_pool2d(x, k)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        g_x: Tensor = torch.ops.spikecost.avg_pool_backward(g, ctx.k, *ctx.shape[2:])
        return g_x, None


def avg_pool(x: Tensor, k: int) -> Tensor:
    """x [N, C, H, W] -> [N, C, H // k, W // k]."""
    y: Tensor = _AvgPool.apply(x, k)
    return y
