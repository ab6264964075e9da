"""OTPE, online training with postsynaptic estimates (Summe, Schaefer, Joshi 2023).

The next layer's membrane sums this layer's spikes with the leak, so that dU_next[t]/dW is about W_next R[t]. Hidden layers:

    P[t] = decay * d[t-1] * P[t-1] + x[t]              as in OSTL (ostl.py)
    R[t] = decay * R[t-1] + D[t] * P[t]                effect of the weights on the leaky sum of the spikes
    dL/dW = sum_t g[t] * R[t],   the bias likewise with x = 1
    rho[t] = decay * rho[t-1] + 1,   m[t] = (1 - 1/rho[t]) * m[t-1] + D[t] / rho[t]     mean slope
    q[t] = g[t] * m[t]

The last layer is trained by OSTL on its spikes. ``front`` (F-OTPE): by the hidden layers' rule, with the class scores
o[t] = decay * o[t-1] + s[t]. As the adjoint: c[t] = g[t] + decay * c[t+1], e[t] = c[t] * D[t] + decay * d[t] * e[t+1].
Symbols, forms and updates: dense_traces.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from bench.algorithms.context import StepContext
from bench.algorithms.dense_traces import (
    Adjoint,
    FromTraces,
    Gradients,
    Traces,
    discounted_,
    mean_slope,
    mean_slopes,
    passed_back_,
    supports,
    train,
    with_rules,
)
from bench.algorithms.ostl import OSTL, over_samples
from bench.nets.build import Network
from bench.options import either

__all__ = ["Options", "in_windows", "prepare", "supports", "train_step"]


@dataclass(frozen=True)
class Options(FromTraces):
    front: bool = either(
        False, meaning="the last layer too has postsynaptic traces, and its scores are a leaky sum of its spikes"
    )


in_windows = False


@dataclass(frozen=True)
class OTPE:
    """Traces: the three of OSTL, R [B, m, n], that of the bias [B, m], m [B, m], rho []."""

    decay: float

    def traces(self, x: Tensor, slope: Tensor, passed: Tensor, before: Traces | None) -> Traces:
        own = OSTL(self.decay).traces(x, slope, passed, None if before is None else before[:3])
        if before is None:
            return [*own, own[0] * slope[:, :, None], own[1] * slope, *mean_slope(slope, None, None, self.decay)]
        of_weight, of_bias, mean, rho = before[3:]
        of_weight.mul_(self.decay).addcmul_(own[0], slope[:, :, None])
        of_bias.mul_(self.decay).addcmul_(own[1], slope)
        return [*own, of_weight, of_bias, *mean_slope(slope, mean, rho, self.decay)]

    def gradients(self, g: Tensor, slope: Tensor, traces: Traces) -> Gradients:
        of_weight, of_bias, mean, _ = traces[3:]
        return Gradients(over_samples(g, of_weight), (g * of_bias).sum(0), g * mean)

    def adjoint(self, g: Tensor, slope: Tensor, reset: float) -> Adjoint:
        e = discounted_(g.clone(), self.decay).mul_(slope)
        e = passed_back_(e, self.decay, slope, reset)
        return Adjoint(e, e, g.mul_(mean_slopes(slope, self.decay)))


def leaky(decay: float, s: Tensor, before: Tensor | None) -> Tensor:
    """Class scores of the front variants: o[t] = decay * o[t-1] + s[t]."""
    return s if before is None else s + decay * before


def prepare(net: Network, options: Options) -> Network:
    hidden = OTPE(net.spec.neuron.decay)
    return with_rules(net, hidden, hidden if options.front else OSTL(hidden.decay), options.form)


def train_step(net: Network, x: Tensor, context: StepContext, options: Options) -> Tensor:
    return train(net, x, context, options, partial(leaky, net.spec.neuron.decay) if options.front else None)
