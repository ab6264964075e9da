"""Small networks in double precision, and what an algorithm gives on them."""

from __future__ import annotations

import torch
from torch import Tensor

from bench import algorithms, backends
from bench.algorithms.context import StepContext
from bench.losses import InstantaneousLoss
from bench.nets.build import Network, build
from bench.probes.equivalence import aligned_parameters
from bench.spec import AvgPool, Conv, Dense, Flatten, NetworkSpec, NeuronSpec, Scale, Spike

SMALL = "vgg-sws-small/cifar10"
NEURON = NeuronSpec(decay=0.6)


def spec_of(name: str, shape, classes: int, parameters: int, *layers, neuron: NeuronSpec = NEURON) -> NetworkSpec:
    return NetworkSpec(name, shape, classes, layers, neuron, parameters, "this test")


def mlp(neuron: NeuronSpec = NEURON) -> NetworkSpec:
    """6 -> 8 LIF -> 5 LIF -> 3."""
    layers = (Dense(8), Spike(neuron), Dense(5), Spike(neuron), Dense(3))
    return spec_of("mlp", (6,), 3, 6 * 8 + 8 + 8 * 5 + 5 + 5 * 3 + 3, *layers, neuron=neuron)


def convnet(neuron: NeuronSpec = NEURON) -> NetworkSpec:
    """[2, 6, 6] -> conv to 3 -> LIF -> x2.74 -> conv to 4 -> LIF -> 2x2 mean -> dense to 3."""
    layers = (Conv(3), Spike(neuron), Scale(2.74), Conv(4), Spike(neuron), AvgPool(2, 2), Flatten(), Dense(3))
    parameters = (3 * 2 * 9 + 3) + (4 * 3 * 9 + 4) + (3 * 4 * 9 + 3)
    return spec_of("convnet", (2, 6, 6), 3, parameters, *layers, neuron=neuron)


T, B = 5, 4


def drawn(spec: NetworkSpec, algorithm: str = "bptt", steps: int = T, **options) -> tuple[Network, Tensor, Tensor]:
    """Return the prepared network in double precision, with weights for which it fires, a sequence and targets."""
    rule = algorithms.load(algorithm)
    net = rule.prepare(build(spec, backends.load("native")), rule.Options(**options)).double().train()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64))
            p.mul_(2 * p[0].numel() ** -0.5 if p.dim() > 1 else 0.3)
    x = torch.randn(steps, B, *spec.input, generator=generator, dtype=torch.float64)
    target = torch.randint(spec.classes, (B,), generator=generator)
    return net, x, target


def gradient(net: Network, algorithm: str, x: Tensor, target: Tensor, update=lambda: None, **options) -> list[Tensor]:
    net.zero_grad()
    rule = algorithms.load(algorithm)
    rule.train_step(net, x, StepContext(InstantaneousLoss(target, len(x)), update), rule.Options(**options))
    return [p.grad.clone() for p in aligned_parameters(net)]


def gradient_of(spec: NetworkSpec, algorithm: str, **options) -> list[Tensor]:
    net, x, target = drawn(spec, algorithm, **options)
    return gradient(net, algorithm, x, target, **options)


def difference(a: list[Tensor], b: list[Tensor]) -> float:
    """Largest relative difference over parameters."""
    assert len(a) == len(b) > 0
    return max(float((x - y).norm() / y.norm()) for x, y in zip(a, b, strict=True))
