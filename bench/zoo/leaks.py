"""A small VGG with batch norm and SLTT's neurons, at several leaks: how much of the gradient travels through time?

SLTT (Meng et al. 2023) trains at lambda = 1/11 alone. Everything but lambda is the same in these networks, and fits a laptop.
"""

from __future__ import annotations

from dataclasses import replace

from bench.spec import AdaptiveAvgPool, AvgPool, BatchNorm, Conv, Dense, Flatten, Layer, NetworkSpec, NeuronSpec, Spike
from bench.zoo.vgg import SLTT_NEURON

LEAKS = {"0.0909": SLTT_NEURON.decay, "0.25": 0.25, "0.5": 0.5, "0.9": 0.9}
_WIDTHS = (32, "P", 64, "P", 128, "P", 128)


def _network(leak: str, dataset: str) -> NetworkSpec:
    neuron: NeuronSpec = replace(SLTT_NEURON, decay=LEAKS[leak])
    layers: list[Layer] = []
    for width in _WIDTHS:
        layers += [AvgPool(2, 2)] if isinstance(width, str) else [Conv(width), BatchNorm(), Spike(neuron)]
    head = (AdaptiveAvgPool(1), Flatten(), Dense(10))
    source = "this suite: a small VGG with SLTT's neurons"
    return NetworkSpec(f"vgg-bn-small-{leak}/{dataset}", (3, 32, 32), 10, (*layers, *head), neuron, 242_826, source)


NETWORKS = tuple(_network(leak, dataset) for dataset in ("cifar10", "digits") for leak in LEAKS)
