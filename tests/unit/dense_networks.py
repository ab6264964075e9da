"""Dense networks of spiking neurons, and the gradients of OSTL and OTPE on them."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from bench import algorithms, backends
from bench.algorithms.context import StepContext
from bench.losses import InstantaneousLoss
from bench.nets.build import Network, build
from bench.nets.layers import aligned
from bench.spec import Dense, Layer, NetworkSpec, NeuronSpec, Spike, Surrogate

T, B = 12, 3
SIZES = (7, 6, 5, 4)
FAST = NeuronSpec(decay=0.875, detach_reset=False, surrogate=Surrogate("fast sigmoid", 5.0))
SMOOTH = replace(FAST, surrogate=Surrogate("arctangent", 2.0))  # one that all backends have
RULES = ("ottt-dense", "ostl", "approximate-otpe", "otpe")
VARIANTS: tuple[tuple[str, dict[str, Any]], ...] = (
    *((rule, {}) for rule in RULES),
    ("approximate-otpe", {"front": True}),
    ("otpe", {"front": True}),
)


def dense(neuron: NeuronSpec = FAST, sizes: tuple[int, ...] = SIZES) -> NetworkSpec:
    layers: list[Layer] = [layer for size in sizes[1:] for layer in (Dense(size), Spike(neuron))]
    count = sum(a * b + b for a, b in pairwise(sizes))
    return NetworkSpec("dense", (sizes[0],), sizes[-1], tuple(layers), neuron, count, "this test", "frames")


def drawn(spec: NetworkSpec, algorithm: str, backend: str = "native", **options: Any) -> tuple[Network, Tensor, Tensor]:
    """Return the prepared network in double precision with weights for which every layer fires, a sequence and targets."""
    net = build(spec, backends.load(backend)).double()  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for _, p in aligned(net):
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) * (0.6 if p.dim() > 1 else 0.2) + 0.1)
    x = (torch.rand(T, B, *spec.input, generator=generator, dtype=torch.float64) < 0.4).double()
    target = torch.randint(spec.classes, (B,), generator=generator)
    rule = algorithms.load(algorithm)
    return rule.prepare(net, rule.Options(**options)).train(), x, target


def gradient(algorithm: str, backend: str = "native", spec: NetworkSpec | None = None, **options: Any) -> list[Tensor]:
    net, x, target = drawn(spec or dense(), algorithm, backend, **options)
    rule = algorithms.load(algorithm)
    rule.train_step(net, x, StepContext(InstantaneousLoss(target, T), lambda: None), rule.Options(**options))
    return [p.grad.clone() for _, p in aligned(net) if p.grad is not None]


def difference(a: list[Tensor], b: list[Tensor]) -> float:
    """Return the largest difference of two gradients, over the largest entry of the second, over parameters."""
    assert len(a) == len(b) > 0
    return max(float((x - y).abs().max() / y.abs().max()) for x, y in zip(a, b, strict=True))


def slope_of(u: Tensor, n: NeuronSpec) -> Tensor:
    x, a = u - n.threshold, n.surrogate.alpha
    if n.surrogate.kind == "fast sigmoid":
        return 1 / (a * x.abs() + 1) ** 2
    assert n.surrogate.kind == "arctangent"
    return a / 2 / (1 + (torch.pi / 2 * a * x) ** 2)
