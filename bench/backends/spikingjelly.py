"""SpikingJelly's LIFNode, or IFNode where nothing leaks, in single-step mode, its membrane potential lifted out of the module.

Its defaults (input divided by tau, hard reset) are replaced by explicit settings. The decay is told as tau = 1/(1 - decay).
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from bench.spec import NeuronSpec

name = "spikingjelly"
layerwise = False


def kernel() -> str:
    return "sj_lif, single-step"


def node(spec: NeuronSpec, step_mode: Literal["s", "m"]) -> neuron.BaseNode:
    smooth = surrogate.Sigmoid if spec.surrogate.kind == "sigmoid" else surrogate.PiecewiseQuadratic
    settings: dict[str, Any] = {
        "v_threshold": spec.threshold,
        "v_reset": None if spec.reset == "soft" else 0.0,
        "surrogate_function": smooth(spec.surrogate.alpha),
        "detach_reset": spec.detach_reset,
        "step_mode": step_mode,
    }
    if spec.decay == 1:
        return neuron.IFNode(**settings)
    return neuron.LIFNode(tau=1 / (1 - spec.decay), decay_input=False, **settings)


class SingleStepLIF(nn.Module):
    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__()
        self.node = node(spec, "s")

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        (x_t,) = x
        start = torch.zeros_like(x_t) if v is None else v
        (s,), (after,) = self.node.single_step_functional_forward((x_t,), (start,))
        return s.unsqueeze(0), after


def neurons(spec: NeuronSpec) -> nn.Module:
    return SingleStepLIF(spec)
