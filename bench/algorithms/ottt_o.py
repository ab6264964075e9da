"""OTTT-O, online training through time with an update at every step (Xiao et al., NeurIPS 2022).

    W <- W - lr * g[t] * a_pre[t]^T  after every step t,   a_pre[t] = decay * a_pre[t-1] + s_pre[t]

Traces, learning rate and the 1/T in the loss are those of OTTT-A. The optimizer steps T times per batch; membrane potential and
trace are kept across updates.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bench.algorithms.context import StepContext
from bench.algorithms.sltt import train_in_windows
from bench.algorithms.traces import traces_apply, with_traces
from bench.errors import Support
from bench.nets.build import Network
from bench.options import Declared
from bench.spec import NetworkSpec


@dataclass(frozen=True)
class Options(Declared):
    """No options."""

    @property
    def updates_once(self) -> bool:
        return False


in_windows = False


def supports(spec: NetworkSpec) -> Support:
    return traces_apply(spec)


def prepare(net: Network, options: Options) -> Network:
    return with_traces(net, net.spec.neuron.decay)


def train_step(net: Network, x: Tensor, context: StepContext, options: Options) -> Tensor:
    return train_in_windows(net, x, context.loss, after_window=context.update)
