"""SpikingJelly's LIFNode (IFNode for decay = 1), ParametricLIFNode and CUBALIFNode in single-step mode, with explicit state.

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
from bench.kernels.beyond_lif import initial_w
from bench.nets.state import State
from bench.spec import AdaptiveLIF, Neuron, NeuronSpec, ParametricLIF, RefractoryLIF, Surrogate, SynapticLIF

name = "spikingjelly"
layerwise = False


def kernel() -> str:
    return "sj_lif, single-step"


def beside(spec: Neuron) -> str:
    return {ParametricLIF: "ParametricLIFNode", SynapticLIF: "CUBALIFNode, in plain torch"}.get(type(spec), "")


# Its surrogates that equal those of kernels/surrogate.py in formula and steepness.
_SURROGATES = {
    "sigmoid": surrogate.Sigmoid,
    "triangle": surrogate.PiecewiseQuadratic,
    "rectangle": surrogate.Rect,
    "arctangent": surrogate.ATan,
}
_RESET = {"soft": None, "hard": 0.0}


def has(spec: Neuron) -> Support:
    match spec:
        case NeuronSpec():
            return _has_lif(spec)
        case ParametricLIF(lif, "sigmoid"):
            return _has_lif(lif)
        case ParametricLIF():
            return no("SpikingJelly learns a decay through a sigmoid alone; use learnt_as = 'sigmoid', or backend snntorch")
        case SynapticLIF(lif):
            return _has_surrogate(lif)
        case AdaptiveLIF():
            return no("SpikingJelly has no adaptive threshold (its AdaptBaseNode adapts a current); use backend native")
        case RefractoryLIF():
            return no("SpikingJelly has no neurons with a refractory period; use backend native")


def _has_surrogate(spec: NeuronSpec) -> Support:
    if spec.surrogate.kind not in _SURROGATES:
        return no(
            "SpikingJelly has no surrogate 1 / (1 + alpha |x|)^2 (fast sigmoid): its SoftSign is alpha / 2 times that, its "
            "SuperSpike is alpha / (1 + |x|)^2; use backend native or snntorch"
        )
    return YES


def _has_lif(spec: NeuronSpec) -> Support:
    able = _has_surrogate(spec)
    if not able:
        return able
    if spec.decay < 1 and not _tau(spec) > 1:
        return no(f"decay = {spec.decay}: SpikingJelly's LIFNode needs tau = 1 / (1 - decay) > 1; use backend native or snntorch")
    return YES


def _tau(spec: NeuronSpec) -> float:
    return 1 / (1 - spec.decay)


def surrogate_function(spec: Surrogate) -> surrogate.SurrogateFunctionBase:
    return _SURROGATES[spec.kind](float(spec.alpha))


def require(spec: Neuron) -> None:
    """Raise UserError if SpikingJelly has no such neurons."""
    supported = has(spec)
    if not supported:
        raise UserError(f"SpikingJelly's neurons: {supported.reason}")


def settings(spec: NeuronSpec) -> dict[str, Any]:
    """Return the arguments of SpikingJelly's LIF neurons. Raises UserError if it has no such neurons."""
    require(spec)
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


class ParametricLIFNode(CopyableNode, neuron.ParametricLIFNode):  # type: ignore[misc]
    """As SpikingJelly's, with an initial decay that can be set again."""

    def __init__(self, spec: ParametricLIF, step_mode: Literal["s", "m"]) -> None:
        settings_of_lif = settings(spec.lif)
        super().__init__(init_tau=settings_of_lif.pop("tau"), **settings_of_lif, step_mode=step_mode)
        self.initial_w = initial_w(spec)

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.constant_(self.w, self.initial_w)


class CUBALIFNode(CopyableNode, neuron.CUBALIFNode):  # type: ignore[misc]
    """As SpikingJelly's, whose constructor takes neither a step mode nor ``detach_reset``."""

    def __init__(self, spec: SynapticLIF, step_mode: Literal["s", "m"]) -> None:
        lif = spec.lif
        super().__init__(
            spec.current_decay, lif.decay, float(lif.threshold), _RESET[lif.reset], surrogate_function(lif.surrogate)
        )
        self.detach_reset = lif.detach_reset
        self.step_mode = step_mode


def node(spec: Neuron, step_mode: Literal["s", "m"]) -> neuron.BaseNode:
    """Return the neurons of ``spec``. Raises UserError if SpikingJelly has none."""
    require(spec)
    match spec:
        case ParametricLIF():
            return ParametricLIFNode(spec, step_mode)
        case SynapticLIF():
            return CUBALIFNode(spec, step_mode)
        case NeuronSpec():
            kind = IFNode if spec.decay == 1 else LIFNode
            return kind(**settings(spec), step_mode=step_mode)
    raise AssertionError("see has")


class SingleStep(nn.Module):
    """State: v, or [v, i] of second-order neurons."""

    def __init__(self, spec: Neuron) -> None:
        super().__init__()
        self.node = node(spec, "s")
        self.states = 2 if isinstance(spec, SynapticLIF) else 1

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        (x_t,) = x
        (s,), after = self.node.single_step_functional_forward((x_t,), starts(state, x_t, self.states))
        return s.unsqueeze(0), list(after) if self.states > 1 else after[0]


def starts(state: State, like: Tensor, states: int) -> tuple[Tensor, ...]:
    """Return the states before a step as SpikingJelly takes them: zeros if there are none yet."""
    if state is None:
        return tuple(torch.zeros_like(like) for _ in range(states))
    return tuple(state) if states > 1 else (state,)


def neurons(spec: Neuron) -> nn.Module:
    return SingleStep(spec)
