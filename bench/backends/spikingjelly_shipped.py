"""What SpikingJelly's users get today: its own OTTT and SLTT, run by its own training function.

The network is made of its WSConv2d, OTTTLIFNode or SLTTLIFNode, and Linear inside OTTTSequential, and trained by
``ottt_online_training``; only the settings are the paper's (its SLTTLIFNode defaults to another neuron). Chains of layers
can be expressed so; residual and feedback networks cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from spikingjelly.activation_based import base, functional, layer, neuron, surrogate
from spikingjelly.activation_based.learning.online_learning import ottt_online_training
from torch import Tensor, nn

from bench.backends.twin import fan_in
from bench.options import Declared
from bench.spec import (
    YES,
    AdaptiveAvgPool,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    Layer,
    NetworkSpec,
    NeuronSpec,
    Scale,
    Spike,
    Support,
    no,
)

name = "spikingjelly-shipped"
layerwise = False
_NODES = {"ottt-a": neuron.OTTTLIFNode, "ottt-o": neuron.OTTTLIFNode, "sltt": neuron.SLTTLIFNode}


@dataclass(frozen=True)
class Options(Declared):
    """There is nothing to set."""


def kernel() -> str:
    return "ottt_online_training"


def ships(spec: NetworkSpec, algorithm: str) -> Support:
    if algorithm not in _NODES:
        return no(f"SpikingJelly ships {', '.join(_NODES)}; it has no {algorithm}")
    for part in spec.layers:
        if not isinstance(part, (Conv, Dense, Spike, Scale, AvgPool, AdaptiveAvgPool, Flatten)):
            return no(f"SpikingJelly's OTTTSequential is a chain of layers: it has no {type(part).__name__}")
        if isinstance(part, Spike) and part.neuron.decay == 1:
            return no("SpikingJelly's OTTT and SLTT nodes leak: decay = 1 has no tau")
    return YES


class Shipped(nn.Module):
    """SpikingJelly's network of one NetworkSpec; ``forward`` is one time step, state lives in its nodes."""

    def __init__(self, spec: NetworkSpec, algorithm: str) -> None:
        super().__init__()
        self.spec = spec
        layers: list[nn.Module] = []
        inputs = fan_in(spec)
        for part in spec.layers:
            layers += _layer(part, inputs, algorithm)
        self.layers = layer.OTTTSequential(*layers)

    def forward(self, x: Tensor) -> Any:
        return self.layers(x)

    def outputs(self, x: Tensor) -> Tensor:
        """x [T, B, ...] from the zero state -> [T, B, C]; in evaluation mode, where nodes pass on spikes without traces."""
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
        generator = torch.Generator().manual_seed(seed)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
                else:
                    nn.init.normal_(module.weight, 0.0, 0.01, generator=generator)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


class _Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def _node(spec: NeuronSpec, algorithm: str) -> nn.Module:
    smooth = surrogate.Sigmoid if spec.surrogate.kind == "sigmoid" else surrogate.PiecewiseQuadratic
    node: nn.Module = _NODES[algorithm](
        tau=1 / (1 - spec.decay),
        decay_input=False,
        v_threshold=spec.threshold,
        v_reset=None if spec.reset == "soft" else 0.0,
        surrogate_function=smooth(spec.surrogate.alpha),
        detach_reset=spec.detach_reset,
    )
    return node


def _layer(part: Layer, inputs: Iterator[int], algorithm: str) -> list[nn.Module]:
    match part:
        case Conv(out, kernel, stride, padding, bias, standardised):
            kind = layer.WSConv2d if standardised else layer.Conv2d
            return [kind(next(inputs), out, kernel, stride, padding, bias=bias)]
        case Dense(out, bias):
            return [layer.Linear(next(inputs), out, bias=bias)]
        case Spike(spec, dropout):
            return [_node(spec, algorithm), *([layer.Dropout(dropout)] if dropout else [])]
        case Scale(factor):
            return [_Times(factor)]
        case AvgPool(kernel, stride, padding):
            return [layer.AvgPool2d(kernel, stride, padding)]
        case AdaptiveAvgPool(size):
            return [layer.AdaptiveAvgPool2d((size, size))]
        case Flatten():
            return [layer.Flatten(1)]
    raise TypeError(f"no SpikingJelly layer for {part}")


class _Update:
    """``ottt_online_training`` wants an optimizer; it calls ``step`` when the weights are to change."""

    def __init__(self, update: Callable[[], None]) -> None:
        self.step = update

    def zero_grad(self) -> None:
        """Gradients are cleared by the update itself."""


def shipped(spec: NetworkSpec, algorithm: str, device: str, options: Options) -> tuple[Shipped, Callable[..., Tensor]]:
    """The network and its training step, with the signature that every algorithm has."""
    with torch.device(device):
        net = Shipped(spec, algorithm)

    def train_step(
        net: Shipped, x: Tensor, loss: Callable[[Tensor], Tensor], update: Callable[[], None], options: Options
    ) -> Tensor:
        functional.reset_net(net)
        batch_first = x.transpose(0, 1)
        targets = torch.zeros(batch_first.shape[:2], dtype=torch.long, device=x.device)
        _, outs = ottt_online_training(
            net, _Update(update), batch_first, targets, lambda out, _: loss(out.unsqueeze(0)), algorithm == "ottt-o"
        )
        total: Tensor = outs.sum(1)
        return total

    return net, train_step
