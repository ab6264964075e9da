"""SpikingJelly's shipped OTTT and SLTT, run by SpikingJelly's training function.

The network consists of its WSConv2d, OTTTLIFNode or SLTTLIFNode, and Linear inside OTTTSequential, and is trained by
``ottt_online_training``. Only the settings are the paper's (the default SLTTLIFNode is another neuron). Only chains of layers
can be expressed in this way, not residual or feedback networks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from spikingjelly.activation_based import base, functional, layer, neuron
from spikingjelly.activation_based.learning.online_learning import ottt_online_training
from torch import Tensor, nn

from bench.algorithms.context import StepContext
from bench.backends import spikingjelly
from bench.backends.initial_weights import INITS, draw_weights, fan_in
from bench.backends.shipped_parts import ScaledBy, UpdateAsOptimizer
from bench.contracts import TrainStep
from bench.errors import YES, Support, no
from bench.options import Declared, one_of
from bench.spec import (
    AdaptiveAvgPool,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    Layer,
    NetworkSpec,
    Neuron,
    NeuronSpec,
    Scale,
    Spike,
    lif_of,
)

name = "spikingjelly-shipped"
layerwise = False


class OTTTLIFNode(spikingjelly.CopyableNode, neuron.OTTTLIFNode):  # type: ignore[misc]  # SpikingJelly is not typed
    """As SpikingJelly's."""


class SLTTLIFNode(spikingjelly.CopyableNode, neuron.SLTTLIFNode):  # type: ignore[misc]
    """As SpikingJelly's."""


_NODES = {"ottt-a": OTTTLIFNode, "ottt-o": OTTTLIFNode, "sltt": SLTTLIFNode}


@dataclass(frozen=True)
class Options(Declared):
    init: str = one_of("native", INITS, meaning="source of the initial weights")


def kernel() -> str:
    return "ottt_online_training"


def ships(spec: NetworkSpec, algorithm: str) -> Support:
    if algorithm not in _NODES:
        return no(f"SpikingJelly ships {', '.join(_NODES)}; it has no {algorithm}")
    for part in spec.layers:
        if not isinstance(part, (Conv, Dense, Spike, Scale, AvgPool, AdaptiveAvgPool, Flatten)):
            return no(f"SpikingJelly's OTTTSequential supports plain chains of layers only: it has no {type(part).__name__}")
        if isinstance(part, Spike) and not (supported := has(part.neuron)):
            return supported
    return YES


def has(spec: Neuron) -> Support:
    if not isinstance(spec, NeuronSpec):
        return no(f"SpikingJelly's OTTT and SLTT nodes are LIF neurons, and this network has {spec.words}")
    if spec.decay == 1:
        return no("decay = 1: SpikingJelly's OTTT and SLTT nodes need a finite tau = 1 / (1 - decay)")
    return spikingjelly.has(spec)


class Shipped(nn.Module):
    """SpikingJelly's network for a NetworkSpec. ``forward`` runs one time step; its nodes hold the state."""

    def __init__(self, spec: NetworkSpec, algorithm: str, init: str = "native") -> None:
        super().__init__()
        self.spec, self.init = spec, init
        layers: list[nn.Module] = []
        inputs = fan_in(spec)
        for part in spec.layers:
            layers += _layer(part, inputs, algorithm)
        self.layers = layer.OTTTSequential(*layers)

    def forward(self, x: Tensor) -> Any:
        return self.layers(x)

    def outputs(self, x: Tensor) -> Tensor:
        """x [T, B, ...] from the zero state -> [T, B, C]. For evaluation mode, in which nodes return spikes without traces."""
        functional.reset_net(self)
        return torch.stack([self(x_t) for x_t in x])

    def neurons(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, neuron.LIFNode)]

    def spiking(self) -> list[nn.Module]:
        return self.neurons()

    def carried(self, output: Any) -> Iterator[Tensor]:
        for module in self.modules():
            if isinstance(module, base.MemoryModule):
                yield from (value for value in module.memories() if isinstance(value, Tensor))

    def reset_parameters(self, seed: int) -> None:
        draw_weights(self, self.spec, seed, self.init)


def _layer(part: Layer, inputs: Iterator[int], algorithm: str) -> list[nn.Module]:
    match part:
        case Conv(out, kernel, stride, padding, bias, standardised):
            kind = layer.WSConv2d if standardised else layer.Conv2d
            return [kind(next(inputs), out, kernel, stride, padding, bias=bias)]
        case Dense(out, bias):
            return [layer.Linear(next(inputs), out, bias=bias)]
        case Spike(spec, dropout):
            return [_NODES[algorithm](**spikingjelly.settings(lif_of(spec))), *([layer.Dropout(dropout)] if dropout else [])]
        case Scale(factor):
            return [ScaledBy(factor)]
        case AvgPool(kernel, stride, padding):
            return [layer.AvgPool2d(kernel, stride, padding)]
        case AdaptiveAvgPool(size):
            return [layer.AdaptiveAvgPool2d((size, size))]
        case Flatten():
            return [layer.Flatten(1)]
    raise TypeError(f"no SpikingJelly layer for {part}")


def shipped(spec: NetworkSpec, algorithm: str, device: str, options: Options) -> tuple[Shipped, TrainStep]:
    """Return the network and its training step, with the signature of every algorithm."""
    with torch.device(device):
        net = Shipped(spec, algorithm, options.init)
    return net, partial(_train_step, online=algorithm == "ottt-o")


def _train_step(net: Shipped, x: Tensor, context: StepContext, options: Options, *, online: bool) -> Tensor:
    functional.reset_net(net)
    batch_first = x.transpose(0, 1)
    targets = torch.zeros(batch_first.shape[:2], dtype=torch.long, device=x.device)
    _, outs = ottt_online_training(
        net,
        UpdateAsOptimizer(context.update),
        batch_first,
        targets,
        lambda out, _: context.loss(out.unsqueeze(0)),
        online,
    )
    total: Tensor = outs.sum(1)
    return total
