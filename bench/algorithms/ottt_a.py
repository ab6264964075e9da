"""OTTT-A, online training through time with accumulated gradients (Xiao et al., NeurIPS 2022).

    dL/dW = sum_t g[t] * a_pre[t]^T,   a_pre[t] = decay * a_pre[t-1] + s_pre[t]

g[t] is the error at the membrane u[t], back-propagated through space at step t only; the presynaptic trace a_pre carries what
the past contributed. Weights are updated once, after step T. Memory does not depend on T.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from bench.algorithms.sltt import step_by_step
from bench.algorithms.traces import with_traces
from bench.networks.build import Network
from bench.spec import YES, NetworkSpec, Support

title = "OTTT-A"
options: dict[str, object] = {}
in_windows = False


def supports(spec: NetworkSpec) -> Support:
    return YES


def prepare(net: Network) -> Network:
    return with_traces(net, net.spec.neuron.decay)


def train_step(net: Network, x: Tensor, loss: Callable[[Tensor], Tensor], update: Callable[[], None]) -> Tensor:
    total = step_by_step(net, x, loss)
    update()
    return total
