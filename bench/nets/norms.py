"""Normalisation: batch norm with statistics of each time step, group norm and layer norm of each sample and step."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bench.nets.state import State, fold


class StepwiseBatchNorm(nn.BatchNorm2d):
    """Batch normalisation with statistics per time step; running statistics are updated at every step."""

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:  # type: ignore[override]
        if x.shape[0] == 1 or not self.training:
            return fold(x, super().forward), state
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(x.shape[0])
        return _EachStep.apply(x, self.weight, self.bias, self.running_mean, self.running_var, self.momentum, self.eps), state


class _EachStep(torch.autograd.Function):
    """Normalises every step directly into one output tensor, which saves the copy that stacking would make."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, momentum: float, eps: float
    ) -> Tensor:
        y = torch.empty_like(x)
        means, scales = (weight.new_empty(x.shape[0], x.shape[2]) for _ in range(2))  # float32 also under autocast
        for t in range(x.shape[0]):
            torch.ops.aten.native_batch_norm.out(
                x[t], weight, bias, mean, var, True, momentum, eps, out=y[t], save_mean=means[t], save_invstd=scales[t]
            )
        ctx.save_for_backward(x, weight, means, scales)
        ctx.eps = eps
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, means, scales = ctx.saved_tensors
        g_x, g_weight, g_bias = torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(weight)
        one_weight, one_bias = torch.empty_like(weight), torch.empty_like(weight)
        for t in range(x.shape[0]):
            torch.ops.aten.native_batch_norm_backward.out(
                g[t], x[t], weight, None, None, means[t], scales[t], True, ctx.eps, [True] * 3,
                out0=g_x[t], out1=one_weight, out2=one_bias,
            )  # fmt: skip
            g_weight += one_weight
            g_bias += one_bias
        return g_x, g_weight, g_bias, None, None, None, None


class StepwiseGroupNorm(nn.GroupNorm):
    """Group normalisation of each sample at each time step; time is folded into the batch."""

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:  # type: ignore[override]
        return fold(x, super().forward), state


class StepwiseLayerNorm(nn.LayerNorm):
    """Layer normalisation of each sample at each time step."""

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:  # type: ignore[override]
        return super().forward(x), state


NORMS = (nn.BatchNorm2d, nn.GroupNorm, nn.LayerNorm)  # their initial weights are constants
