"""AlexNet-type networks assumed for TTL-BPTT (Guo et al. 2023), and a small convolutional network for laptops.

The abstract of that paper names AlexNet on CIFAR10-DVS, but no layers, sizes or neurons. Assumed: the variant in public code of
spiking networks, 96C3-256C3-P2-384C3-P2-384C3-256C3[-P2]-1024-1024-10, with the last pool ("alexnet") or without it
("alexnet-unpooled"); 3x3 convolutions and 2x2 average pools; LIF neurons with decay 0.5, threshold 1, detached soft reset and
sigmoid surrogate. Event frames have 42x42, 48x48 or 128x128 pixels; images are static.
"""

from __future__ import annotations

from typing import Literal

from bench.spec import AvgPool, Conv, Dense, Flatten, Layer, NetworkSpec, NeuronSpec, Spike

NEURON = NeuronSpec(decay=0.5)
_POOL = AvgPool(2, 2)
_WIDTHS = (96, 256, "P", 384, "P", 384, 256)
_SMALL = (16, "P", 32, "P", 64, "P")


def _network(
    kind: str, dataset: str, shape: tuple[int, int, int], widths: tuple[int | str, ...], hidden: tuple[int, ...], parameters: int,
    source: str,
) -> NetworkSpec:  # fmt: skip
    layers: list[Layer] = []
    for width in widths:
        layers += [_POOL] if isinstance(width, str) else [Conv(width), Spike(NEURON)]
    layers.append(Flatten())
    for features in hidden:
        layers += [Dense(features, init="default"), Spike(NEURON)]
    layers.append(Dense(10, init="default"))
    encoding: Literal["static", "frames"] = "frames" if shape[0] == 2 else "static"  # two channels: polarities of events
    return NetworkSpec(f"{kind}/{dataset}", shape, 10, tuple(layers), NEURON, parameters, source, encoding)


def _alexnet(dataset: str, shape: tuple[int, int, int], parameters: int) -> NetworkSpec:
    return _network("alexnet", dataset, shape, (*_WIDTHS, "P"), (1024, 1024), parameters, "assumed for TTL-BPTT")


def _unpooled(dataset: str, shape: tuple[int, int, int], parameters: int) -> NetworkSpec:
    return _network("alexnet-unpooled", dataset, shape, _WIDTHS, (1024, 1024), parameters, "assumed for TTL-BPTT")


def _small(dataset: str, shape: tuple[int, int, int], parameters: int) -> NetworkSpec:
    return _network("ttl-small", dataset, shape, _SMALL, (128,), parameters, "this suite: a network for laptops")


NETWORKS = (
    _alexnet("cifar10-dvs-42", (2, 42, 42), 10_935_338),
    _alexnet("cifar10-dvs-48", (2, 48, 48), 13_818_922),
    _alexnet("cifar10-dvs-128", (2, 128, 128), 71_490_602),
    _alexnet("n-mnist", (2, 34, 34), 8_576_042),
    _alexnet("cifar10", (3, 32, 32), 8_576_906),
    _alexnet("fashion-mnist", (1, 28, 28), 6_740_170),
    _unpooled("cifar10-dvs-42", (2, 42, 42), 30_596_138),
    _unpooled("cifar10-dvs-48", (2, 48, 48), 42_130_474),
    _unpooled("cifar10-dvs-128", (2, 128, 128), 272_817_194),
    _unpooled("n-mnist", (2, 34, 34), 21_158_954),
    _unpooled("cifar10", (3, 32, 32), 21_159_818),
    _unpooled("fashion-mnist", (1, 28, 28), 17_225_930),
    _small("n-mnist", (2, 34, 34), 155_930),
    _small("fashion-mnist", (1, 28, 28), 98_442),
    _small("cifar10", (3, 32, 32), 156_074),
    _small("digits", (3, 32, 32), 156_074),
)
