"""Neurons as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from bench.errors import UserError, choose
from bench.spec.values import flag, positive, real, whole

SurrogateKind = Literal["sigmoid", "triangle", "rectangle", "arctangent", "fast sigmoid"]


@dataclass(frozen=True)
class Surrogate:
    """Surrogate derivative of the Heaviside step: a function of x = u - V_th, and its steepness ``alpha``.

    Equations: kernels/surrogate.py.
    """

    kind: SurrogateKind = "sigmoid"
    alpha: float = 4.0

    def __post_init__(self) -> None:
        choose("surrogate", self.kind, get_args(SurrogateKind))
        positive("alpha of a surrogate", self.alpha)


Reset = Literal["soft", "hard"]


@dataclass(frozen=True)
class NeuronSpec:
    """Leaky integrate-and-fire neuron with membrane potential v, input current x and spikes s. No setting is implicit.

    u[t] = decay * v[t-1] + x[t];  s[t] = 1 if u[t] >= threshold else 0
    soft reset: v[t] = u[t] - threshold * s[t];  hard reset: v[t] = u[t] * (1 - s[t])
    ``detach_reset``: no gradient passes through the s[t] of the reset.
    """

    decay: float = 0.5
    threshold: float = 1.0
    reset: Reset = "soft"
    detach_reset: bool = True
    surrogate: Surrogate = Surrogate()

    def __post_init__(self) -> None:
        real("decay of a neuron", self.decay, "0 <= decay <= 1", within=(0.0, 1.0))
        positive("threshold of a neuron", self.threshold)
        choose("reset of a neuron", self.reset, get_args(Reset))
        flag("detach_reset of a neuron", self.detach_reset)
        if not isinstance(self.surrogate, Surrogate):
            raise UserError(f"surrogate of a neuron = {self.surrogate!r}: use a Surrogate")


# --------------------------------------------------------------------------- neurons beyond LIF


LearntAs = Literal["sigmoid", "clamped"]


@dataclass(frozen=True)
class ParametricLIF:
    """LIF neurons that learn their decay, one for all neurons of the layer; ``lif.decay`` is its initial value.

    sigmoid: decay = 1 - sigmoid(w), w learnt (PLIF, Fang et al., ICCV 2021, eq. 7: 1/tau = sigmoid(w); input not scaled)
    clamped: decay = w clamped to [0, 1], w learnt (snnTorch's ``learn_beta``)
    """

    words: ClassVar[str] = "neurons with a learnt decay (PLIF)"
    lif: NeuronSpec = NeuronSpec()
    learnt_as: LearntAs = "sigmoid"

    def __post_init__(self) -> None:
        _lif(self.lif)
        choose("learnt_as of a neuron", self.learnt_as, get_args(LearntAs))
        if self.learnt_as == "sigmoid" and not 0 < self.lif.decay < 1:
            raise UserError(f"decay of a neuron = {self.lif.decay!r}: use 0 < decay < 1 where it is learnt through a sigmoid")


@dataclass(frozen=True)
class SynapticLIF:
    """Second-order neurons: LIF neurons whose input current decays too (snnTorch's Synaptic, SpikingJelly's CUBALIFNode).

    i[t] = current_decay * i[t-1] + x[t];   u[t] = decay * v[t-1] + i[t];   spikes and reset of v as LIF; i is not reset
    (Zenke and Vogels 2021, Neural Computation 33; Eshraghian et al. 2023, Proceedings of the IEEE 111)
    """

    words: ClassVar[str] = "second-order (synaptic) neurons"
    lif: NeuronSpec = NeuronSpec()
    current_decay: float = 0.8

    def __post_init__(self) -> None:
        _lif(self.lif)
        real("current_decay of a neuron", self.current_decay, "0 <= current_decay <= 1", within=(0.0, 1.0))


@dataclass(frozen=True)
class AdaptiveLIF:
    """LIF neurons whose threshold rises with every spike and decays back (ALIF).

    u[t] = decay * v[t-1] + x[t];   s[t] = 1 if u[t] >= threshold + strength * a[t-1] else 0
    a[t] = adaptation_decay * a[t-1] + s[t]
    soft reset: v[t] = u[t] - threshold * s[t];  hard reset: v[t] = u[t] * (1 - s[t])
    (Bellec et al. 2020, Nature Communications 11:3625, section Methods, ALIF). The gradient passes through a.
    """

    words: ClassVar[str] = "neurons with an adaptive threshold (ALIF)"
    lif: NeuronSpec = NeuronSpec()
    adaptation_decay: float = 0.97
    strength: float = 0.2

    def __post_init__(self) -> None:
        _lif(self.lif)
        real("adaptation_decay of a neuron", self.adaptation_decay, "0 <= adaptation_decay <= 1", within=(0.0, 1.0))
        real("strength of an adaptive threshold", self.strength)


@dataclass(frozen=True)
class RefractoryLIF:
    """LIF neurons that are silent for ``steps`` time steps after a spike (absolute refractory period).

    r[t-1] = 0:  as LIF;                                    r[t] = steps * s[t]
    r[t-1] > 0:  u[t] = v[t] = v[t-1] (input is ignored), s[t] = 0;   r[t] = r[t-1] - 1
    (Gerstner et al. 2014, Neuronal Dynamics, section 1.3; discrete as in Norse, lif_refrac_step)
    """

    words: ClassVar[str] = "neurons with a refractory period"
    lif: NeuronSpec = NeuronSpec()
    steps: int = 2

    def __post_init__(self) -> None:
        _lif(self.lif)
        whole("steps of a refractory period", self.steps, 1)
        if self.steps > 127:
            raise UserError(f"steps of a refractory period = {self.steps}: use at most 127, which one byte per neuron counts")


BeyondLIF = ParametricLIF | SynapticLIF | AdaptiveLIF | RefractoryLIF
Neuron = NeuronSpec | BeyondLIF


def lif_of(neuron: Neuron) -> NeuronSpec:
    """Return the LIF neuron that ``neuron`` is, or is built on."""
    return neuron if isinstance(neuron, NeuronSpec) else neuron.lif


def _lif(value: object) -> None:
    if not isinstance(value, NeuronSpec):
        raise UserError(f"lif of a neuron = {value!r}: use a NeuronSpec")
