"""SLTT-K (Meng et al., ICCV 2023): SLTT at k of the T steps, drawn without replacement for every batch.

    dL/dW = sum over drawn t of g[t] * s_pre[t]^T

The other steps run forward without a graph. The loss is still divided by T, so the expected gradient (without batch norm or
dropout) is k/T times that of SLTT.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.algorithms.context import StepContext
from bench.errors import YES, Support, UserError
from bench.nets.build import Network
from bench.nets.layers import holding_weights, map_state
from bench.options import Declared, whole
from bench.spec import NetworkSpec


@dataclass(frozen=True)
class Options(Declared):
    k: int = whole(2, least=1, meaning="time steps that are sampled for the backward pass")

    def suits(self, spec: NetworkSpec, T: int) -> None:
        _check(self.k, T)


in_windows = False


def supports(spec: NetworkSpec) -> Support:
    return YES


def _check(k: int, steps: int) -> None:
    if not 1 <= k <= steps:
        raise UserError(f"sltt-k: k = {k} of T = {steps} steps; use 1 <= k <= T")


def prepare(net: Network, options: Options) -> Network:
    return net


def train_step(net: Network, x: Tensor, context: StepContext, options: Options) -> Tensor:
    steps, k = x.shape[0], options.k
    _check(k, steps)
    drawn = set(torch.randperm(steps)[:k].tolist())
    state = net.initial_state(x.shape[1])
    total = x.new_zeros(())
    with holding_weights(net):
        for t in range(steps):
            with torch.set_grad_enabled(t in drawn):
                out, state = net.window(x[t : t + 1], state)
                if t in drawn:
                    context.loss(out).backward()
            state = map_state(torch.Tensor.detach, state)
            total = total + out.detach().sum(0)
    context.update()
    return total
