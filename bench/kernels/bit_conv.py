"""A convolution of spikes that saves them for backward at one bit each."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.kernels.fused import pack, unpack


class _BitConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, s: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(pack(s), weight)
        ctx.shape, ctx.strides, ctx.type = s.shape, s.stride(), s.dtype
        ctx.stride, ctx.padding = stride, padding
        ctx.bias_sizes = None if bias is None else list(bias.shape)
        return torch.conv2d(s, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        bits, weight = ctx.saved_tensors
        stride, padding = [ctx.stride] * 2, [ctx.padding] * 2

        def back(s: Tensor, *wanted: bool) -> Any:
            return torch.ops.aten.convolution_backward(
                g, s, weight, ctx.bias_sizes, stride, padding, [1, 1], False, [0, 0], 1, wanted
            )

        wants_s, wants_w, wants_b = ctx.needs_input_grad[:3]
        s = unpack(bits, ctx.shape.numel(), ctx.type).as_strided(ctx.shape, ctx.strides)
        _, g_w, g_b = back(s, False, wants_w, wants_b)
        del s  # not needed for its own gradient; frees memory first
        g_s = back(g.new_empty(()).expand(ctx.shape), True, False, False)[0] if wants_s else None
        return g_s, g_w, g_b, None, None


def bit_conv(s: Tensor, weight: Tensor, bias: Tensor | None, stride: int, padding: int) -> Tensor:
    """conv2d of spikes ``s`` [N, C, H, W], all 0 or 1, dense in memory."""
    y: Tensor = _BitConv.apply(s, weight, bias, stride, padding)
    return y
