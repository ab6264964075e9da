"""A network as data: neurons, layers, and the network that they form. All are frozen. Imports no torch.

Shapes in this package: T time steps of a sample, K time steps of a window, B samples of a batch.
A sequence is a tensor [K, B, ...]; a single step is a window of K = 1.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from bench.errors import UserError, choose

# --------------------------------------------------------------------------- checks of single values


def _whole(name: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise UserError(f"{name} = {value!r}: use a whole number >= {least}")


def _real(name: str, value: object, allowed: str = "a finite number", *, within: tuple[float, float] | None = None) -> None:
    """Raise UserError unless ``value`` is finite and in the closed interval ``within``; ``allowed`` describes it in words."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or (within and not within[0] <= value <= within[1]):  # type: ignore[operator]
        raise UserError(f"{name} = {value!r}: use {allowed}")


def _positive(name: str, value: object) -> None:
    _real(name, value, "a finite number > 0", within=(math.ulp(0.0), math.inf))


def _flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise UserError(f"{name} = {value!r}: use True or False")


def _layers(name: str, value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(layer, Layer) for layer in value):
        raise UserError(f"{name} = {value!r}: use a tuple of layers")


# --------------------------------------------------------------------------- neurons


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
        _positive("alpha of a surrogate", self.alpha)


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
        _real("decay of a neuron", self.decay, "0 <= decay <= 1", within=(0.0, 1.0))
        _positive("threshold of a neuron", self.threshold)
        choose("reset of a neuron", self.reset, get_args(Reset))
        _flag("detach_reset of a neuron", self.detach_reset)
        if not isinstance(self.surrogate, Surrogate):
            raise UserError(f"surrogate of a neuron = {self.surrogate!r}: use a Surrogate")


# --------------------------------------------------------------------------- layers as data


ConvInit = Literal["kaiming", "zero"]
DenseInit = Literal["normal_0.01", "zero", "default", "default, zero bias", "lecun"]


@dataclass(frozen=True)
class Conv:
    """2-D convolution [B, C, H, W] -> [B, channels, H', W'].

    ``standardised``: scaled weight standardisation (sWS) with a learnable gain per channel.
    """

    channels: int
    kernel: int = 3
    stride: int = 1
    padding: int = 1
    bias: bool = True
    standardised: bool = False
    init: ConvInit = "kaiming"

    def __post_init__(self) -> None:
        for name, least in (("channels", 1), ("kernel", 1), ("stride", 1), ("padding", 0)):
            _whole(f"{name} of a convolution", getattr(self, name), least)
        for name in ("bias", "standardised"):
            _flag(f"{name} of a convolution", getattr(self, name))
        choose("initial weights of a convolution", self.init, get_args(ConvInit))


@dataclass(frozen=True)
class Dense:
    """Fully connected layer. ``init``: initial distribution of the weight; the bias starts at 0, or is drawn if "default"."""

    features: int
    bias: bool = True
    init: DenseInit = "normal_0.01"

    def __post_init__(self) -> None:
        _whole("features of a dense layer", self.features, 1)
        _flag("bias of a dense layer", self.bias)
        choose("initial weights of a dense layer", self.init, get_args(DenseInit))


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation over the channels; statistics are taken separately for each time step."""


@dataclass(frozen=True)
class Spike:
    """A layer of neurons. ``dropout`` is the probability that a neuron is masked; one mask applies to all T steps."""

    neuron: NeuronSpec
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.neuron, NeuronSpec):
            raise UserError(f"neurons of a layer = {self.neuron!r}: use a NeuronSpec")
        _real("dropout", self.dropout, "0 <= dropout < 1", within=(0.0, math.nextafter(1.0, 0.0)))


@dataclass(frozen=True)
class Scale:
    """Multiply by a constant."""

    factor: float

    def __post_init__(self) -> None:
        _real("factor of a scale", self.factor)


@dataclass(frozen=True)
class Gain:
    """Multiply by ``factor`` and by a learnable scalar whose initial value is ``init``."""

    factor: float
    init: float = 0.0

    def __post_init__(self) -> None:
        _real("factor of a gain", self.factor)
        _real("initial value of a gain", self.init)


@dataclass(frozen=True)
class AvgPool:
    """2-D average pooling; padding zeros count in the mean."""

    kernel: int
    stride: int
    padding: int = 0

    def __post_init__(self) -> None:
        for name, least in (("kernel", 1), ("stride", 1), ("padding", 0)):
            _whole(f"{name} of a pool", getattr(self, name), least)


@dataclass(frozen=True)
class AdaptiveAvgPool:
    """2-D average pooling to a map of ``size`` x ``size``."""

    size: int

    def __post_init__(self) -> None:
        _whole("size of an adaptive pool", self.size, 1)


@dataclass(frozen=True)
class Flatten:
    """[B, C, H, W] -> [B, C*H*W]."""


@dataclass(frozen=True)
class ReLU:
    """Rectified linear unit, for the non-spiking (ANN) counterpart of a network."""


ShortcutOf = Literal["input", "activated"]


@dataclass(frozen=True)
class Residual:
    """a = pre(x);  y = body(a) + shortcut(x or a).

    An empty shortcut is the identity. ``shortcut_of`` is what the shortcut reads: the block's "input" x, or a ("activated").
    """

    pre: tuple[Layer, ...]
    body: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()
    shortcut_of: ShortcutOf = "input"

    def __post_init__(self) -> None:
        for name in ("pre", "body", "shortcut"):
            _layers(f"{name} of a residual block", getattr(self, name))
        choose("shortcut_of of a residual block", self.shortcut_of, get_args(ShortcutOf))


@dataclass(frozen=True)
class Loop:
    """Recurrence over time steps: y[t] = body(entry(x[t]) + feedback(upsample(y[t-1]))), without feedback at t = 0."""

    entry: tuple[Layer, ...]
    body: tuple[Layer, ...]
    feedback: tuple[Layer, ...]
    upsample: int = 1

    def __post_init__(self) -> None:
        for name in ("entry", "body", "feedback"):
            _layers(f"{name} of a loop", getattr(self, name))
        _whole("upsample of a loop", self.upsample, 1)


Layer = Conv | Dense | BatchNorm | Spike | Scale | Gain | AvgPool | AdaptiveAvgPool | Flatten | ReLU | Residual | Loop
Encoding = Literal["static", "frames"]


def every_layer(layers: Iterable[Layer]) -> Iterator[Layer]:
    """Yield all layers, depth first; a layer that contains others comes before them."""
    for layer in layers:
        yield layer
        match layer:
            case Residual(pre, body, shortcut):
                yield from every_layer((*pre, *body, *shortcut))
            case Loop(entry, body, feedback):
                yield from every_layer((*entry, *body, *feedback))


@dataclass(frozen=True)
class NetworkSpec:
    """A network: its layers, default neuron, and the shape of its inputs.

    ``parameters`` is the number that ``source`` states; building the network checks it. ``encoding``: a sample is the same image
    at every time step ("static"), or one frame per time step ("frames").
    """

    name: str
    input: tuple[int, ...]  # shape of one sample at one time step: (C, H, W) or (features,)
    classes: int
    layers: tuple[Layer, ...]
    neuron: NeuronSpec
    parameters: int
    source: str
    encoding: Encoding = "static"

    def __post_init__(self) -> None:
        for size in (*self.input, self.classes):
            _whole(f"size of network {self.name}", size, 1)
        _layers(f"layers of network {self.name}", self.layers)
        if not isinstance(self.neuron, NeuronSpec):
            raise UserError(f"neuron of network {self.name} = {self.neuron!r}: use a NeuronSpec")
        choose("encoding", self.encoding, get_args(Encoding))

    @property
    def neuron_layers(self) -> int:
        """The number of layers of neurons, on every backend."""
        return sum(isinstance(layer, Spike) for layer in every_layer(self.layers))
