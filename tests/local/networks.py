"""Small networks of every kind, and what a training step of them gives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.spec import (  # fmt: skip
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Layer,
    NetworkSpec,
    NeuronSpec,
    Residual,
    Scale,
    Spike,
)
from bench.training_step import TrainingStep

NEURON = NeuronSpec(decay=0.7, threshold=0.6)
FULL = NeuronSpec(decay=0.7, threshold=0.6, reset="hard", detach_reset=False)
HEAD = (AdaptiveAvgPool(1), Flatten(), Dense(5, init="default"))
T = 5


def network(name: str, layers: tuple[Layer, ...], parameters: int, head: tuple[Layer, ...] = HEAD) -> NetworkSpec:
    return NetworkSpec(name, (3, 8, 8), 5, (*layers, *head), NEURON, parameters, "these tests")


_UNIT = Residual((), (Conv(6), Spike(NEURON), Conv(6)))
NETWORKS = {
    spec.name: spec
    for spec in (
        network(
            "plain",
            (Conv(6), Spike(NEURON), AvgPool(2, 2), Conv(8, standardised=True), Spike(FULL), Scale(2.74), Conv(4), Spike(NEURON)),
            933,
        ),
        network("dropout", (Conv(6), Spike(NEURON, 0.3), Conv(8), Spike(NEURON, 0.2)), 653),
        network("batch norm", (Conv(6, bias=False), BatchNorm(), Spike(NEURON), Conv(8), BatchNorm(), Spike(NEURON)), 675),
        network("residual", (Conv(6), Spike(NEURON), _UNIT, Spike(NEURON), _UNIT, Spike(NEURON)), 1523),
        network("dense", (Conv(4), Spike(NEURON), AvgPool(2, 2), Flatten(), Dense(12), Spike(NEURON)), 957, HEAD[-1:]),
    )
}
CLASSIFIERS = ("dense", "pooled", "conv", "fixed")


@dataclass(frozen=True)
class Found:
    """Results of one training step: gradients and buffers by name, and the outputs."""

    gradients: dict[str, Tensor | None]
    buffers: dict[str, Tensor]
    out: Tensor

    def of(self, *prefixes: str) -> dict[str, Tensor]:
        return {name: g for name, g in self.gradients.items() if g is not None and name.startswith(prefixes)}


def data() -> tuple[Tensor, Tensor]:
    x = torch.randn(T, 4, 3, 8, 8, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return x, torch.tensor([0, 1, 2, 4])


def found(step: TrainingStep) -> Found:
    torch.manual_seed(11)  # the same dropout masks for every algorithm
    out = step.gradients(*data())
    return Found(
        {name: None if p.grad is None else p.grad.clone() for name, p in step.net.named_parameters()},
        {name: buffer.clone() for name, buffer in step.net.named_buffers() if "running" in name},
        out,
    )


def differ(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return any(not torch.equal(value, other[name]) for name, value in one.items())
