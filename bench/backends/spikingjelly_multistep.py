"""SpikingJelly's neurons (spikingjelly.py) in multi-step mode: one call per layer and window."""

from __future__ import annotations

from torch import Tensor, nn

from bench.backends.spikingjelly import beside, has, node, starts
from bench.nets.state import State
from bench.spec import Neuron, SynapticLIF

__all__ = ["beside", "has", "kernel", "layerwise", "name", "neurons"]

name = "spikingjelly-multistep"
layerwise = True


def kernel() -> str:
    return "sj_lif, multi-step"


class MultiStep(nn.Module):
    """State: v, or [v, i] of second-order neurons."""

    def __init__(self, spec: Neuron) -> None:
        super().__init__()
        self.node = node(spec, "m")
        self.states = 2 if isinstance(spec, SynapticLIF) else 1

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        (s,), after = self.node.multi_step_functional_forward((x,), starts(state, x[0], self.states))
        return s, list(after) if self.states > 1 else after[0]


def neurons(spec: Neuron) -> nn.Module:
    return MultiStep(spec)
