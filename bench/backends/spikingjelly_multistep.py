"""SpikingJelly's LIFNode (IFNode for decay = 1) in multi-step mode: one call per layer and window."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.backends.spikingjelly import has, node
from bench.spec import NeuronSpec

__all__ = ["has", "kernel", "layerwise", "name", "neurons"]

name = "spikingjelly-multistep"
layerwise = True


def kernel() -> str:
    return "sj_lif, multi-step"


class MultiStepLIF(nn.Module):
    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__()
        self.node = node(spec, "m")

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        start = torch.zeros_like(x[0]) if v is None else v
        (s,), (after,) = self.node.multi_step_functional_forward((x,), (start,))
        return s, after


def neurons(spec: NeuronSpec) -> nn.Module:
    return MultiStepLIF(spec)
