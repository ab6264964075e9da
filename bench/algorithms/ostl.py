"""OSTL, online spatio-temporal learning (Bohnstingl et al. 2022), as the paper of OTPE compares it: one trace per weight.

    P[t] = decay * d[t-1] * P[t-1] + x[t]          dv[t]/dW, through the layer's own membrane and reset
    dL/dW = sum_t g[t] * D[t] * P[t],   the bias likewise with x = 1
    q[t] = g[t] * D[t]                             error that goes down, through space alone

P holds a number per sample, neuron and input. At the last layer it is BPTT's gradient exactly: no later layer delays the error.
As the adjoint: e[t] = g[t] * D[t] + decay * d[t] * e[t+1]. Symbols, forms and updates: dense_traces.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.algorithms.context import StepContext
from bench.algorithms.dense_traces import Adjoint, FromTraces, Gradients, Traces, passed_back_, supports, train, with_rules
from bench.nets.build import Network

__all__ = ["Options", "in_windows", "prepare", "supports", "train_step"]


@dataclass(frozen=True)
class Options(FromTraces):
    """Those of all rules with traces."""


in_windows = False


@dataclass(frozen=True)
class OSTL:
    """Traces: P [B, m, n], that of the bias [B, m], and d [B, m] of the step."""

    decay: float

    def traces(self, x: Tensor, slope: Tensor, passed: Tensor, before: Traces | None) -> Traces:
        if before is None:
            of_weight = x[:, None, :].expand(-1, slope.shape[1], -1).clone(memory_format=torch.contiguous_format)
            return [of_weight, torch.ones_like(slope), passed]
        of_weight, of_bias, passed_before = before
        carried = passed_before * self.decay
        of_weight.mul_(carried[:, :, None]).add_(x[:, None, :])
        of_bias.mul_(carried).add_(1)
        return [of_weight, of_bias, passed]

    def gradients(self, g: Tensor, slope: Tensor, traces: Traces) -> Gradients:
        a = g * slope
        return Gradients(over_samples(a, traces[0]), (a * traces[1]).sum(0), a)

    def adjoint(self, g: Tensor, slope: Tensor, reset: float) -> Adjoint:
        a = g.mul_(slope)
        e = passed_back_(a.clone(), self.decay, slope, reset)
        return Adjoint(e, e, a)


def over_samples(error: Tensor, trace: Tensor) -> Tensor:
    """Return sum_b error[b, i] * trace[b, i, j]: [B, m], [B, m, n] -> [m, n]."""
    return torch.bmm(error.t().unsqueeze(1), trace.transpose(0, 1)).squeeze(1)


def prepare(net: Network, options: Options) -> Network:
    rule = OSTL(net.spec.neuron.decay)
    return with_rules(net, rule, rule, options.form)


def train_step(net: Network, x: Tensor, context: StepContext, options: Options) -> Tensor:
    return train(net, x, context, options)
