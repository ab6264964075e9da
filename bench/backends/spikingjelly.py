"""SpikingJelly's LIFNode (IFNode for decay = 1) in single-step mode, with the membrane potential as explicit state.

Its defaults (input divided by tau, hard reset) are replaced by explicit settings. The decay is given as tau = 1/(1 - decay),
which must be greater than 1.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from bench.backends import copies
from bench.errors import YES, Support, UserError, no
from bench.spec import NeuronSpec, Surrogate

name = "spikingjelly"
layerwise = False


def kernel() -> str:
    return "sj_lif, single-step"


# Its surrogates that equal those of kernels/surrogate.py in formula and steepness.
_SURROGATES = {
    "sigmoid": surrogate.Sigmoid,
    "triangle": surrogate.PiecewiseQuadratic,
    "rectangle": surrogate.Rect,
    "arctangent": surrogate.ATan,
}
_RESET = {"soft": None, "hard": 0.0}


def has(spec: NeuronSpec) -> Support:
    if spec.surrogate.kind not in _SURROGATES:
        return no(
            "SpikingJelly has no surrogate 1 / (1 + alpha |x|)^2 (fast sigmoid): its SoftSign is alpha / 2 times that, its "
            "SuperSpike is alpha / (1 + |x|)^2; use backend native or snntorch"
        )
    if spec.decay < 1 and not _tau(spec) > 1:
        return no(f"decay = {spec.decay}: SpikingJelly's LIFNode needs tau = 1 / (1 - decay) > 1; use backend native or snntorch")
    return YES


def _tau(spec: NeuronSpec) -> float:
    return 1 / (1 - spec.decay)


def surrogate_function(spec: Surrogate) -> surrogate.SurrogateFunctionBase:
    return _SURROGATES[spec.kind](float(spec.alpha))


def settings(spec: NeuronSpec) -> dict[str, Any]:
    """Return the arguments of SpikingJelly's neurons. Raises UserError if it has no such neurons."""
    supported = has(spec)
    if not supported:
        raise UserError(f"SpikingJelly's neurons: {supported.reason}")
    leak = {} if spec.decay == 1 else {"tau": _tau(spec), "decay_input": False}
    return {
        "v_threshold": float(spec.threshold),
        "v_reset": _RESET[spec.reset],
        "surrogate_function": surrogate_function(spec.surrogate),
        "detach_reset": spec.detach_reset,
        **leak,
    }


class CopyableNode:
    """SpikingJelly's neurons, which can be copied and saved although they hold the last membrane potential with its graph."""

    def __getstate__(self) -> dict[str, Any]:
        return copies.state_of(self, "_memories")


class IFNode(CopyableNode, neuron.IFNode):  # type: ignore[misc]  # SpikingJelly is not typed
    """As SpikingJelly's."""


class LIFNode(CopyableNode, neuron.LIFNode):  # type: ignore[misc]
    """As SpikingJelly's."""


def node(spec: NeuronSpec, step_mode: Literal["s", "m"]) -> neuron.BaseNode:
    kind = IFNode if spec.decay == 1 else LIFNode
    return kind(**settings(spec), step_mode=step_mode)


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
