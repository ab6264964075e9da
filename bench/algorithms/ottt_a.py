"""OTTT-A, online training through time with accumulated gradients (Xiao et al., NeurIPS 2022).

    dL/dW = sum_t g[t] * a_pre[t]^T,   a_pre[t] = decay * a_pre[t-1] + s_pre[t]

g[t] is the error at the membrane u[t], back-propagated through the layers at step t only; the presynaptic trace a_pre carries
the contribution of earlier steps (traces.py). Weights are updated once, after step T. Memory does not depend on T. ``K`` steps
may run as one window, layer by layer: the same gradient, for K times the memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.algorithms.context import StepContext
from bench.algorithms.sltt import in_space, runs_on, train_in_windows
from bench.algorithms.traces import traces_apply, with_traces
from bench.errors import Support
from bench.nets.build import Network
from bench.nets.layers import holding_weights
from bench.options import Declared, whole, within
from bench.spec import NetworkSpec

__all__ = ["Options", "in_windows", "prepare", "runs_on", "supports", "train_step"]


@dataclass(frozen=True)
class Options(Declared):
    K: int = whole(1, least=1, meaning="time steps computed as one window")

    def suits(self, spec: NetworkSpec, T: int) -> None:
        within(self.K, T, "ottt-a")


in_windows = False


def supports(spec: NetworkSpec) -> Support:
    return traces_apply(spec)


def prepare(net: Network, options: Options) -> Network:
    return with_traces(in_space(net, options.K), net.spec.neuron.decay)


def train_step(net: Network, x: Tensor, context: StepContext, options: Options) -> Tensor:
    within(options.K, x.shape[0], "ottt-a")
    with holding_weights(net):
        total = train_in_windows(net, x, context.loss, options.K)
    context.update()
    return total
