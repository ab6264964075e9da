"""VGG-type networks.

VGG (sWS) of OTTT: 64C3-128C3-AP2-256C3-256C3-AP2-512C3-512C3-AP2-512C3-512C3-GAP-FC, each convolution with scaled
weight standardisation, then LIF, then the gain 2.74 = 1/sqrt(p(1-p)) with p = P(N(0,1) > 1).
Source: OTTT (Xiao et al. 2022) and its public code; VGG-11 with batch norm: SLTT (Meng et al. 2023) and its code.
"""

from __future__ import annotations

from typing import Literal

from bench.spec import (
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Layer,
    Loop,
    NetworkSpec,
    NeuronSpec,
    ReLU,
    Scale,
    Spike,
    Surrogate,
)

GAMMA = 2.74
OTTT_NEURON = NeuronSpec(decay=0.5)
SLTT_NEURON = NeuronSpec(decay=1 - 1 / 1.1, detach_reset=False, surrogate=Surrogate("triangle", 1.0))
_POOL = AvgPool(2, 2)
_OTTT = "OTTT, Xiao et al. 2022, and its public code"


def _standardised(channels: int, after: tuple[Layer, ...]) -> tuple[Layer, ...]:
    return (Conv(channels, standardised=True), *after, Scale(GAMMA))


def _vgg_features(widths: tuple[int | str, ...], after: tuple[Layer, ...]) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    for width in widths:
        layers += [_POOL] if isinstance(width, str) else _standardised(width, after)
    return tuple(layers)


def _encoding(shape: tuple[int, ...]) -> Literal["static", "frames"]:
    return "frames" if shape[0] == 2 else "static"  # two channels: the polarities of events


def _head(classes: int) -> tuple[Layer, ...]:
    return (AdaptiveAvgPool(1), Flatten(), Dense(classes))


_WIDTHS = (64, 128, "P", 256, 256, "P", 512, 512, "P", 512, 512)
_SMALL = (32, "P", 64, "P", 128, "P", 128)


def _vgg_sws(dataset: str, shape: tuple[int, ...], classes: int, parameters: int, dropout: float = 0.0) -> NetworkSpec:
    spike = (Spike(OTTT_NEURON, dropout),)
    layers = (*_vgg_features(_WIDTHS, spike), *_head(classes))
    name = f"vgg-sws/{dataset}"
    return NetworkSpec(name, shape, classes, layers, OTTT_NEURON, parameters, _OTTT, _encoding(shape))


def _vgg_ann(dataset: str, classes: int, parameters: int) -> NetworkSpec:
    layers = (*_vgg_features(_WIDTHS, (ReLU(),)), *_head(classes))
    return NetworkSpec(f"vgg-sws-ann/{dataset}", (3, 32, 32), classes, layers, OTTT_NEURON, parameters, _OTTT)


def _vgg_small(dataset: str, shape: tuple[int, ...], classes: int, parameters: int) -> NetworkSpec:
    layers = (*_vgg_features(_SMALL, (Spike(OTTT_NEURON),)), *_head(classes))
    name = f"vgg-sws-small/{dataset}"
    return NetworkSpec(name, shape, classes, layers, OTTT_NEURON, parameters, "this suite: VGG (sWS) cut to laptop size")


def _vgg_feedback() -> NetworkSpec:
    """VGG with feedback: the last feature map of the previous step, upsampled 8 times, adds to the first layer's current."""
    first, *rest = _vgg_features(_WIDTHS, (Spike(OTTT_NEURON),))
    loop = Loop(entry=(first,), body=tuple(rest), feedback=(Conv(64, init="zero"),), upsample=8)
    return NetworkSpec("vgg-f/cifar100", (3, 32, 32), 100, (loop, *_head(100)), OTTT_NEURON, 9_569_508, _OTTT)


def _vgg11_bn(dataset: str, shape: tuple[int, ...], classes: int, parameters: int, dropout: float) -> NetworkSpec:
    layers: list[Layer] = []
    for width in (64, "P", 128, "P", 256, 256, "P", 512, 512, "P", 512, 512, "P"):
        layers += [_POOL] if isinstance(width, str) else [Conv(width), BatchNorm(), Spike(SLTT_NEURON, dropout)]
    head = (AdaptiveAvgPool(7), Flatten(), Dense(classes))
    source = "SLTT, Meng et al. 2023, and its public code"
    name = f"vgg11-bn/{dataset}"
    return NetworkSpec(name, shape, classes, (*layers, *head), SLTT_NEURON, parameters, source, _encoding(shape))


NETWORKS = (
    _vgg_sws("cifar10", (3, 32, 32), 10, 9_228_362),
    _vgg_sws("cifar100", (3, 32, 32), 100, 9_274_532),
    _vgg_sws("cifar10-dvs", (2, 48, 48), 10, 9_227_786, dropout=0.1),
    _vgg_sws("dvs-gesture", (2, 128, 128), 11, 9_228_299),
    _vgg_ann("cifar10", 10, 9_228_362),
    _vgg_ann("cifar100", 100, 9_274_532),
    _vgg_feedback(),
    _vgg_small("cifar10", (3, 32, 32), 10, 242_474),
    _vgg_small("digits", (3, 32, 32), 10, 242_474),
    _vgg11_bn("cifar10-dvs", (2, 48, 48), 10, 9_476_298, dropout=0.3),
    _vgg11_bn("dvs-gesture", (2, 128, 128), 11, 9_501_387, dropout=0.4),
)
