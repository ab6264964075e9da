"""Dense spiking networks of OTPE (Summe, Schaefer, Joshi 2023) for Randman and SHD.

``layers`` counts the output layer, which spikes too: class scores are its spikes. Constants are those of the public code: leak
sigmoid(3) (its scripts set another value and never pass it on), threshold 1, reset by subtraction with the gradient through it,
surrogate 1 / (1 + k |x|)^2, biases, Flax's initial weights. k is part of a network's name.
"""

from __future__ import annotations

import math

from bench.spec import Dense, Layer, NetworkSpec, NeuronSpec, Spike, Surrogate

DECAY = 1 / (1 + math.exp(-3.0))
SOURCE = "OTPE, Summe et al. 2023, its public code"


def neuron(k: float) -> NeuronSpec:
    return NeuronSpec(decay=DECAY, threshold=1.0, detach_reset=False, surrogate=Surrogate("fast sigmoid", float(k)))


def network(dataset: str, inputs: int, classes: int, layers: int, width: int, k: int, parameters: int) -> NetworkSpec:
    name = f"otpe-{layers}x{width}/{dataset}-k{k}"
    sizes = [inputs, *[width] * (layers - 1), classes]
    chain: list[Layer] = [layer for size in sizes[1:] for layer in (Dense(size, init="lecun"), Spike(neuron(k)))]
    return NetworkSpec(name, (inputs,), classes, tuple(chain), neuron(k), parameters, SOURCE, "frames")


def _randman(layers: int, width: int, k: int, parameters: int) -> NetworkSpec:
    return network("randman", 50, 10, layers, width, k, parameters)


def _shd(layers: int, width: int, k: int, parameters: int) -> NetworkSpec:
    return network("shd", 700, 20, layers, width, k, parameters)


NETWORKS = (
    _randman(3, 128, 25, 24_330),
    _randman(3, 256, 10, 81_418),
    _randman(5, 128, 25, 57_354),
    _shd(3, 128, 10, 108_820),
    _shd(3, 128, 25, 108_820),
    _shd(3, 384, 10, 424_724),
    _shd(3, 512, 10, 631_828),
    _shd(3, 512, 25, 631_828),
)
