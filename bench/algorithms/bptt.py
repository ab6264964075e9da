"""Back-propagation through time: the exact gradient of the loss of the sequence, with the surrogate derivative of spikes.

    dL/dW = sum_t dL/du[t] * s_pre[t]^T,
    dL/du[t] = dL/ds[t] * f(u[t] - V_th) + dL/du[t+1] * du[t+1]/du[t]

The graph of all T steps is saved for backward: memory grows linearly with T.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.algorithms.context import StepContext
from bench.errors import YES, Support
from bench.nets.build import Network
from bench.options import Declared
from bench.spec import NetworkSpec


@dataclass(frozen=True)
class Options(Declared):
    """No options."""


in_windows = True


def supports(spec: NetworkSpec) -> Support:
    return YES


def prepare(net: Network, options: Options) -> Network:
    return net


def train_step(net: Network, x: Tensor, context: StepContext, options: Options) -> Tensor:
    outs = net.last_window(x, net.initial_state(x.shape[1]))
    context.loss(outs).backward()
    context.update()
    return outs.detach().sum(0)
