"""Layers as data."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from bench.errors import UserError, choose
from bench.spec.neurons import Neuron
from bench.spec.values import flag, real, whole

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
            whole(f"{name} of a convolution", getattr(self, name), least)
        for name in ("bias", "standardised"):
            flag(f"{name} of a convolution", getattr(self, name))
        choose("initial weights of a convolution", self.init, get_args(ConvInit))


@dataclass(frozen=True)
class Dense:
    """Fully connected layer. ``init``: initial distribution of the weight; the bias starts at 0, or is drawn if "default"."""

    features: int
    bias: bool = True
    init: DenseInit = "normal_0.01"

    def __post_init__(self) -> None:
        whole("features of a dense layer", self.features, 1)
        flag("bias of a dense layer", self.bias)
        choose("initial weights of a dense layer", self.init, get_args(DenseInit))


@dataclass(frozen=True)
class BatchNorm:
    """Batch normalisation over the channels; statistics are taken separately for each time step."""


@dataclass(frozen=True)
class GroupNorm:
    """Group normalisation (Wu and He 2018): over the channels of a group and the map, for each sample and time step alone.

    With one group this is layer normalisation over channels and map with a scale per channel. Scale and shift are learnt.
    """

    groups: int

    def __post_init__(self) -> None:
        whole("groups of a normalisation", self.groups, 1)


@dataclass(frozen=True)
class LayerNorm:
    """Layer normalisation (Ba et al. 2016) over all values of a sample at a time step; scale and shift of each are learnt."""


@dataclass(frozen=True)
class Spike:
    """A layer of neurons. ``dropout`` is the probability that a neuron is masked; one mask applies to all T steps."""

    neuron: Neuron
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.neuron, Neuron):
            raise UserError(f"neurons of a layer = {self.neuron!r}: use a NeuronSpec, or one of the neurons built on it")
        real("dropout", self.dropout, "0 <= dropout < 1", within=(0.0, math.nextafter(1.0, 0.0)))


@dataclass(frozen=True)
class Scale:
    """Multiply by a constant."""

    factor: float

    def __post_init__(self) -> None:
        real("factor of a scale", self.factor)


@dataclass(frozen=True)
class Gain:
    """Multiply by ``factor`` and by a learnable scalar whose initial value is ``init``."""

    factor: float
    init: float = 0.0

    def __post_init__(self) -> None:
        real("factor of a gain", self.factor)
        real("initial value of a gain", self.init)


@dataclass(frozen=True)
class AvgPool:
    """2-D average pooling; padding zeros count in the mean."""

    kernel: int
    stride: int
    padding: int = 0

    def __post_init__(self) -> None:
        for name, least in (("kernel", 1), ("stride", 1), ("padding", 0)):
            whole(f"{name} of a pool", getattr(self, name), least)


@dataclass(frozen=True)
class MaxPool:
    """2-D max pooling; of spikes it gives spikes. Padding never wins."""

    kernel: int
    stride: int
    padding: int = 0

    def __post_init__(self) -> None:
        for name, least in (("kernel", 1), ("stride", 1), ("padding", 0)):
            whole(f"{name} of a pool", getattr(self, name), least)
        if 2 * self.padding > self.kernel:
            raise UserError(f"padding of a pool = {self.padding}: use at most half of kernel = {self.kernel}")


@dataclass(frozen=True)
class AdaptiveAvgPool:
    """2-D average pooling to a map of ``size`` x ``size``."""

    size: int

    def __post_init__(self) -> None:
        whole("size of an adaptive pool", self.size, 1)


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
            check_layers(f"{name} of a residual block", getattr(self, name))
        choose("shortcut_of of a residual block", self.shortcut_of, get_args(ShortcutOf))


@dataclass(frozen=True)
class Loop:
    """Recurrence over time steps: y[t] = body(entry(x[t]) + feedback(upsample(y[t-1]))), without feedback at t = 0.

    Neurons with their spikes fed back through a dense matrix (snnTorch's RLeaky with ``all_to_all``) are a body of neurons and a
    feedback of one Dense.
    """

    entry: tuple[Layer, ...]
    body: tuple[Layer, ...]
    feedback: tuple[Layer, ...]
    upsample: int = 1

    def __post_init__(self) -> None:
        for name in ("entry", "body", "feedback"):
            check_layers(f"{name} of a loop", getattr(self, name))
        whole("upsample of a loop", self.upsample, 1)


@dataclass(frozen=True)
class Attention:
    """Spiking self-attention without softmax (Spikformer, Zhou et al., ICLR 2023, eq. 6) over the N places of a map.

    q, k, v = query(x), key(x), value(x), maps of N places;   y = scale * (q k^T) v   for each of ``heads`` groups of channels

    q, k, v as matrices are [N, channels / heads]. Neurons, projections and the neurons after y are layers like any other.
    """

    query: tuple[Layer, ...]
    key: tuple[Layer, ...]
    value: tuple[Layer, ...]
    heads: int = 1
    scale: float = 0.125

    def __post_init__(self) -> None:
        for name in ("query", "key", "value"):
            check_layers(f"{name} of an attention", getattr(self, name))
        whole("heads of an attention", self.heads, 1)
        real("scale of an attention", self.scale)


Layer = (
    Conv | Dense | BatchNorm | GroupNorm | LayerNorm | Spike | Scale | Gain | AvgPool | MaxPool | AdaptiveAvgPool | Flatten | ReLU
    | Residual | Loop | Attention
)  # fmt: skip


def check_layers(name: str, value: object) -> None:
    if not isinstance(value, tuple) or not all(isinstance(layer, Layer) for layer in value):
        raise UserError(f"{name} = {value!r}: use a tuple of layers")


def every_layer(layers: Iterable[Layer]) -> Iterator[Layer]:
    """Yield all layers, depth first; a layer that contains others comes before them."""
    for layer in layers:
        yield layer
        match layer:
            case Residual(pre, body, shortcut):
                yield from every_layer((*pre, *body, *shortcut))
            case Loop(entry, body, feedback):
                yield from every_layer((*entry, *body, *feedback))
            case Attention(query, key, value):
                yield from every_layer((*query, *key, *value))
