"""OTTT (Xiao et al. 2022) as the paper of OTPE compares it: a presynaptic trace at every synapse, also at the input.

    a[t] = decay * a[t-1] + x[t]
    dL/dW = sum_t g[t] * D[t] * a[t]^T,   dL/db = sum_t g[t] * D[t]  (no trace)
    q[t] = g[t] * D[t]

ottt_a.py has no trace where a synapse reads the samples, as OTTT's public code, which trains on images; here samples are spikes.
As the adjoint: e[t] = g[t] * D[t] + decay * e[t+1]. Symbols, forms and updates: dense_traces.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.algorithms.context import StepContext
from bench.algorithms.dense_traces import Adjoint, FromTraces, Gradients, Traces, discounted_, supports, train, with_rules
from bench.nets.build import Network

__all__ = ["Options", "in_windows", "prepare", "supports", "train_step"]


@dataclass(frozen=True)
class Options(FromTraces):
    """Those of all rules with traces."""


in_windows = False


@dataclass(frozen=True)
class OTTT:
    """Traces: a [B, n]."""

    decay: float

    def traces(self, x: Tensor, slope: Tensor, passed: Tensor, before: Traces | None) -> Traces:
        return [x.clone() if before is None else before[0].mul_(self.decay).add_(x)]

    def gradients(self, g: Tensor, slope: Tensor, traces: Traces) -> Gradients:
        a = g * slope
        return Gradients(a.t() @ traces[0], a.sum(0), a)

    def adjoint(self, g: Tensor, slope: Tensor, reset: float) -> Adjoint:
        a = g.mul_(slope)
        return Adjoint(discounted_(a.clone(), self.decay), a, a)


def prepare(net: Network, options: Options) -> Network:
    rule = OTTT(net.spec.neuron.decay)
    return with_rules(net, rule, rule, options.form)


def train_step(net: Network, x: Tensor, context: StepContext, options: Options) -> Tensor:
    return train(net, x, context, options)
