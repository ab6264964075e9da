"""Approximate OTPE (Summe, Schaefer, Joshi 2023): OTPE with traces of the inputs instead of traces of the weights.

Hidden layers:

    a[t] = decay * a[t-1] + x[t],   z[t] = decay * z[t-1] + a[t]
    rho[t] = decay * rho[t-1] + 1,   m[t] = (1 - 1/rho[t]) * m[t-1] + D[t] / rho[t]     mean slope
    q[t] = g[t] * m[t],   dL/dW = sum_t q[t] z[t]^T,   dL/db = sum_t q[t]  (no trace)

The last layer is trained as in OTTT (ottt_dense.py) on its spikes. ``front`` (F-approximate OTPE): by the hidden layers' rule,
with the class scores o[t] = decay * o[t-1] + s[t]. As the adjoint: e[t] = c[t] + decay * e[t+1], c[t] = q[t] + decay * c[t+1].
Symbols, forms and updates: dense_traces.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from bench.algorithms.context import StepContext
from bench.algorithms.dense_traces import (
    Adjoint,
    Gradients,
    Traces,
    discounted_,
    mean_slope,
    mean_slopes,
    supports,
    train,
    with_rules,
)
from bench.algorithms.otpe import Options, leaky
from bench.algorithms.ottt_dense import OTTT
from bench.nets.build import Network

__all__ = ["Options", "in_windows", "prepare", "supports", "train_step"]


in_windows = False


@dataclass(frozen=True)
class ApproximateOTPE:
    """Traces: a [B, n], z [B, n], m [B, m], rho []."""

    decay: float

    def traces(self, x: Tensor, slope: Tensor, passed: Tensor, before: Traces | None) -> Traces:
        if before is None:
            return [x.clone(), x.clone(), *mean_slope(slope, None, None, self.decay)]
        a, z, mean, rho = before
        a.mul_(self.decay).add_(x)
        z.mul_(self.decay).add_(a)
        return [a, z, *mean_slope(slope, mean, rho, self.decay)]

    def gradients(self, g: Tensor, slope: Tensor, traces: Traces) -> Gradients:
        _, z, mean, _ = traces
        q = g * mean
        return Gradients(q.t() @ z, q.sum(0), q)

    def adjoint(self, g: Tensor, slope: Tensor, reset: float) -> Adjoint:
        q = g.mul_(mean_slopes(slope, self.decay))
        return Adjoint(discounted_(discounted_(q.clone(), self.decay), self.decay), q, q)


def prepare(net: Network, options: Options) -> Network:
    hidden = ApproximateOTPE(net.spec.neuron.decay)
    return with_rules(net, hidden, hidden if options.front else OTTT(hidden.decay), options.form)


def train_step(net: Network, x: Tensor, context: StepContext, options: Options) -> Tensor:
    return train(net, x, context, options, partial(leaky, net.spec.neuron.decay) if options.front else None)
