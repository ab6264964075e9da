"""OTTT-O, online training through time with an update at every step (Xiao et al., NeurIPS 2022).

    W <- W - lr * g[t] * a_pre[t]^T  after every step t,   a_pre[t] = decay * a_pre[t-1] + s_pre[t]

Traces, learning rate and the 1/T in the loss are those of OTTT-A. The optimizer steps T times per batch; membrane potential and
trace are kept across updates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from bench.algorithms.sltt import in_windows_of
from bench.algorithms.traces import with_traces
from bench.networks.build import Network
from bench.options import Declared
from bench.spec import YES, NetworkSpec, Support

title = "OTTT-O"


@dataclass(frozen=True)
class Options(Declared):
    """No options."""

    @property
    def updates_once(self) -> bool:
        return False


in_windows = False


def supports(spec: NetworkSpec) -> Support:
    return YES


def prepare(net: Network, options: Options) -> Network:
    return with_traces(net, net.spec.neuron.decay)


def train_step(net: Network, x: Tensor, loss: Callable[[Tensor], Tensor], update: Callable[[], None], options: Options) -> Tensor:
    return in_windows_of(net, x, loss, after_window=update)
