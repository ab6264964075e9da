"""SpikingJelly's memory optimiser: BPTT with gradient checkpointing over the layers and spikes saved as bits.

The network is SpikingJelly's in multi-step mode. A unit extends from one layer of neurons to the next: what follows the neurons
(dropout, pool, flatten), the synapse, its batch norm, the next neurons. Only the input of a unit is saved for backward; spikes
are packed, eight per byte. In the backward pass the unit is recomputed over all T steps.

    level 0   no checkpointing
    level 1   every unit is checkpointed (``optimize_memory`` with its budget "memory" wraps the same units with the same
              compressors; tests/unit/test_spikingjelly_memopt.py)
    2, 3, 4   units are split in space, in time, or unwrapped again if that lowers the measured CUDA peak. This is a search on a
              GPU for one batch size and T, so it cannot be counted without one

Here the spec determines which inputs are spikes. ``optimize_memory`` inspects the values of one example instead, and packs an
input that holds only zeros and ones there: a layer that is silent in the example, or dropout in evaluation mode, then gives
wrong sums without an error (shown by the tests).

Exact: the gradient equals that of the same network without the optimiser to the bit, also with dropout (the mask is redrawn from
the same random state) and batch norm (running averages are updated once). SpikingJelly's multi-step batch norm uses the
statistics of all T steps together, not of each step as NetworkSpec does: such a network costs the same but learns differently.
Tensors saved by a checkpoint, and those saved while a unit is recomputed, count as temporary: autograd does not report them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from spikingjelly.activation_based import base, functional, layer, neuron
from spikingjelly.activation_based.memopt import BitSpikeCompressor, checkpoint_module
from torch import Tensor, nn

from bench.algorithms.context import StepContext
from bench.backends.initial_weights import INITS, draw_weights, fan_in
from bench.backends.shipped_parts import ScaledBy
from bench.backends.spikingjelly import has as has_neuron
from bench.backends.spikingjelly import node
from bench.contracts import TrainStep
from bench.errors import YES, Support, UserError, no
from bench.options import Declared, checked, one_of
from bench.spec import (
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Layer,
    NetworkSpec,
    Neuron,
    NeuronSpec,
    Residual,
    Scale,
    ShortcutOf,
    Spike,
    every_layer,
)

__all__ = ["Options", "has", "kernel", "layerwise", "name", "shipped", "ships"]

name = "spikingjelly-memopt"
layerwise = True


def _check_level(name: str, value: object) -> None:
    if type(value) is int and value in (2, 3, 4):
        raise UserError(f"level = {value} needs CUDA: it is a search that measures the peak memory of a GPU; use level 0 or 1")
    if type(value) is not int or value not in (0, 1):
        raise UserError(f"level = {value!r}; use 0 (no checkpointing) or 1 (checkpoints and spikes as bits)")


@dataclass(frozen=True)
class Options(Declared):
    level: int = checked(1, "0 or 1", _check_level, meaning="0: no checkpoints; 1: checkpoints, and spikes as bits")
    init: str = one_of("native", INITS, meaning="source of the initial weights")


def kernel() -> str:
    return "sj_lif, multi-step, memopt"


def has(spec: Neuron) -> Support:
    if not isinstance(spec, NeuronSpec):
        return no(f"the networks for SpikingJelly's memory optimiser are built of LIF neurons, and this network has {spec.words}")
    return has_neuron(spec)


def ships(spec: NetworkSpec, algorithm: str) -> Support:
    if algorithm != "bptt":
        return no(f"SpikingJelly's memory optimiser computes BPTT's gradient: it has no {algorithm}")
    for part in every_layer(spec.layers):
        if not isinstance(part, (Conv, Dense, BatchNorm, Spike, Scale, AvgPool, AdaptiveAvgPool, Flatten, Residual)):
            return no(f"the networks for SpikingJelly's memory optimiser are built without {type(part).__name__}")
        if isinstance(part, Spike) and not (supported := has(part.neuron)):
            return supported
    return YES


class SpikeInput(nn.Identity):
    """Marks the input spikes of a unit, so that observers know them as spikes also after they were unpacked from bits."""


class Unit(nn.Module):
    """Layers that are checkpointed together. In a plain Sequential, forward hooks would not see the neurons run."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for part in self.layers:
            x = part(x)
        return x


class ResidualBlock(nn.Module):
    """a = pre(x);  y = body(a) + shortcut(x or a); an empty shortcut is the identity."""

    def __init__(self, pre: nn.Module, body: nn.Module, shortcut: nn.Module, shortcut_of: ShortcutOf) -> None:
        super().__init__()
        self.pre, self.body, self.shortcut = pre, body, shortcut
        self.shortcut_of = shortcut_of

    def forward(self, x: Tensor) -> Tensor:
        a = self.pre(x)
        y: Tensor = self.body(a) + self.shortcut(a if self.shortcut_of == "activated" else x)
        return y


class Shipped(nn.Module):
    """SpikingJelly's network for a NetworkSpec: ``forward(x[T, B, ...]) -> [T, B, C]``. Its nodes hold the state."""

    def __init__(self, spec: NetworkSpec, level: int, init: str = "native") -> None:
        super().__init__()
        self.spec, self.level, self.init = spec, level, init
        inputs = fan_in(spec)
        units: list[nn.Module] = []
        channels, spikes = spec.input[0], False
        for parts in _units(spec.layers):
            built, channels = _chain(parts, channels, inputs)
            units.append(Unit([SpikeInput(), *built] if spikes else built))
            spikes = isinstance(parts[-1], Spike)
        self.units = _checkpointed(units, level)

    def __getstate__(self) -> dict[str, object]:
        """Without checkpoints: a copy of what ``checkpoint_module`` returns would run the unit of the original network."""
        plain = nn.Sequential(*(getattr(unit, "_checkpoint_wrapped_module", unit) for unit in self.units))
        return {**self.__dict__, "_modules": {"units": plain}}

    def __setstate__(self, state: dict[str, object]) -> None:
        super().__setstate__(state)
        self.units = _checkpointed(list(self.units), self.level)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.units(x)
        return out

    def outputs(self, x: Tensor) -> Tensor:
        """x [T, B, ...] from the zero state -> [T, B, C]."""
        functional.reset_net(self)
        out: Tensor = self(x)
        return out

    def neurons(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, neuron.BaseNode)]

    def spiking(self) -> list[nn.Module]:
        return [module for module in self.modules() if isinstance(module, (neuron.BaseNode, layer.Dropout, SpikeInput))]

    def carried(self, output: Tensor) -> Iterator[Tensor]:
        return (value for value in base.memories(self) if isinstance(value, Tensor))

    def reset_parameters(self, seed: int) -> None:
        draw_weights(self, self.spec, seed, self.init)


def _checkpointed(units: Sequence[nn.Module], level: int) -> nn.Sequential:
    """Return the units in order, each in a checkpoint if the level is 1."""
    if level == 0:
        return nn.Sequential(*units)
    packing = (BitSpikeCompressor() if any(isinstance(part, SpikeInput) for part in unit.modules()) else None for unit in units)
    return nn.Sequential(*(checkpoint_module(unit, compressor=how) for unit, how in zip(units, packing, strict=True)))


@dataclass(frozen=True)
class Mask:
    """Dropout as a separate layer: it belongs to the unit after its neurons, so that the input of that unit is still spikes."""

    p: float


Part = Layer | Mask


def _parts(layers: Sequence[Layer]) -> Iterator[Part]:
    for part in layers:
        if isinstance(part, Spike) and part.dropout:
            yield from (Spike(part.neuron), Mask(part.dropout))
        else:
            yield part


def _units(layers: Sequence[Layer]) -> Iterator[list[Part]]:
    """Split layers into units. A unit ends with neurons, or with a residual block that is not followed by neurons."""
    unit: list[Part] = []
    for part, after in pairwise((*_parts(layers), None)):
        if part is not None:
            unit.append(part)
        if isinstance(part, Spike) or after is None or (isinstance(part, Residual) and not isinstance(after, Spike)):
            yield unit
            unit = []


def _chain(parts: Iterable[Part], channels: int, inputs: Iterator[int]) -> tuple[list[nn.Module], int]:
    """Return the modules and their output channels or features; ``inputs`` are the input sizes of the synapses, in order."""
    built: list[nn.Module] = []
    for part in parts:
        module, channels = _layer(part, channels, inputs)
        built.append(module)
    return built, channels


def _layer(part: Part, channels: int, inputs: Iterator[int]) -> tuple[nn.Module, int]:
    module: nn.Module
    match part:
        case Conv(out, kernel, stride, padding, bias, standardised):
            kind = layer.WSConv2d if standardised else layer.Conv2d
            return kind(next(inputs), out, kernel, stride, padding, bias=bias, step_mode="m"), out
        case Dense(out, bias):
            return layer.Linear(next(inputs), out, bias=bias, step_mode="m"), out
        case Residual(pre, body, shortcut, shortcut_of):
            first, inner = _chain(_parts(pre), channels, inputs)
            main, out = _chain(_parts(body), inner, inputs)
            side, _ = _chain(_parts(shortcut), inner if shortcut_of == "activated" else channels, inputs)
            return ResidualBlock(nn.Sequential(*first), nn.Sequential(*main), nn.Sequential(*side), shortcut_of), out
        case BatchNorm():
            module = layer.BatchNorm2d(channels, step_mode="m")
        case Spike(spec):
            module = node(spec, "m")
        case Mask(p):
            module = layer.Dropout(p, step_mode="m")
        case Scale(factor):
            module = ScaledBy(factor)
        case AvgPool(kernel, stride, padding):
            module = layer.AvgPool2d(kernel, stride, padding, step_mode="m")
        case AdaptiveAvgPool(size):
            module = layer.AdaptiveAvgPool2d((size, size), step_mode="m")
        case Flatten():
            module = layer.Flatten(1, step_mode="m")
        case _:
            raise TypeError(f"no SpikingJelly layer for {part}")
    return module, channels


def shipped(spec: NetworkSpec, algorithm: str, device: str, options: Options) -> tuple[Shipped, TrainStep]:
    """Return the network and its training step, with the signature of every algorithm."""
    with torch.device(device):
        net = Shipped(spec, options.level, options.init)
    return net, _train_step


def _train_step(net: Shipped, x: Tensor, context: StepContext, options: Options) -> Tensor:
    outs = net.outputs(x)
    context.loss(outs).backward()
    context.update()
    return outs.detach().sum(0)
