"""snnTorch's Leaky and Synaptic, with every setting explicit.

Three of its defaults differ from the other frameworks: it fires at u > threshold (here: >=); it resets one step late; and its
immediate reset (``reset_delay=False``) subtracts a second time if the potential is still at or above threshold after a reset,
and passes the gradient through the spike. Therefore only its charge and firing are used (``reset_mechanism="none"``), and the
reset is implemented here. tests/equivalence shows that the built-in reset fails the equivalence gate.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import snntorch
import torch
from torch import Tensor, nn

from bench.backends import copies
from bench.errors import YES, Support, UserError, no
from bench.kernels.surrogate import fire
from bench.nets.state import State
from bench.spec import AdaptiveLIF, Neuron, NeuronSpec, ParametricLIF, RefractoryLIF, SynapticLIF

name = "snntorch"
layerwise = False


def kernel() -> str:
    return "snntorch.Leaky"


def beside(spec: Neuron) -> str:
    return {ParametricLIF: "learn_beta", SynapticLIF: "snntorch.Synaptic"}.get(type(spec), "")


class _Copied:
    """snnTorch's neurons, which can be copied and saved although they hold the last membrane potential with its graph."""

    def __getstate__(self) -> dict[str, Any]:
        return copies.state_of(self, "_buffers")


class Leaky(_Copied, snntorch.Leaky):  # type: ignore[misc]  # snnTorch is not typed
    """As snnTorch's."""


class Synaptic(_Copied, snntorch.Synaptic):  # type: ignore[misc]
    """As snnTorch's."""


def _settings(spec: NeuronSpec) -> dict[str, Any]:
    return {
        "beta": spec.decay,
        "threshold": spec.threshold,
        "spike_grad": partial(fire, surrogate=spec.surrogate),
        "reset_mechanism": "none",
    }


def _after_reset(u: Tensor, s: Tensor, spec: NeuronSpec) -> Tensor:
    gate = s.detach() if spec.detach_reset else s
    return u - spec.threshold * gate if spec.reset == "soft" else u * (1 - gate)


class LeakyLIF(nn.Module):
    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__()
        self.spec = spec
        with torch.device("cpu"):  # its constructor reads values, which do not exist on device 'meta'
            self.leaky = Leaky(**_settings(spec))

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        (x_t,) = x
        s, u = self.leaky(x_t, torch.zeros_like(x_t) if v is None else v)
        return s.unsqueeze(0), _after_reset(u, s, self.spec)


class LearntLeaky(LeakyLIF):
    """Leaky neurons that learn their decay (``learn_beta``)."""

    def __init__(self, spec: ParametricLIF) -> None:
        super().__init__(spec.lif)
        self.initial = spec.lif.decay
        del self.leaky.beta
        self.leaky.beta = nn.Parameter(torch.empty(()))  # as learn_beta, on the device of the network

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.constant_(self.leaky.beta, self.initial)


class SynapticLIFNeurons(nn.Module):
    """State: [v, i]."""

    def __init__(self, spec: SynapticLIF) -> None:
        super().__init__()
        self.spec = spec.lif
        with torch.device("cpu"):
            self.synaptic = Synaptic(alpha=spec.current_decay, **_settings(spec.lif))

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        (x_t,) = x
        v, i = state or (torch.zeros_like(x_t), torch.zeros_like(x_t))
        s, i, u = self.synaptic(x_t, i, v)
        return s.unsqueeze(0), [_after_reset(u, s, self.spec), i]


def has(spec: Neuron) -> Support:
    match spec:
        case NeuronSpec() | SynapticLIF() | ParametricLIF(learnt_as="clamped"):
            return YES
        case ParametricLIF():
            return no("snnTorch learns the decay itself, not through a sigmoid; use learnt_as = 'clamped', or backend native")
        case AdaptiveLIF():
            return no("snnTorch has no neurons with an adaptive threshold; use backend native")
        case RefractoryLIF():
            return no("snnTorch has no neurons with a refractory period; use backend native")


def neurons(spec: Neuron) -> nn.Module:
    able = has(spec)
    if not able:
        raise UserError(f"snnTorch's neurons: {able.reason}")
    match spec:
        case SynapticLIF():
            return SynapticLIFNeurons(spec)
        case ParametricLIF():
            return LearntLeaky(spec)
        case NeuronSpec():
            return LeakyLIF(spec)
    raise AssertionError("see has")
