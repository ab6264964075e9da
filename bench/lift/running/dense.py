"""A user's chain of linear layers and neurons as the catalogue's dense networks, for the algorithms of dense_traces.py.

The layers use the weights of the user's module, and its own neurons run with their state taken out.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import cast

from torch import Tensor, nn

from bench.algorithms import dense_traces
from bench.errors import UserError
from bench.lift import frameworks
from bench.lift.frameworks.lif import Lif
from bench.lift.recognition.chain import Link
from bench.lift.running.links import ModuleLink
from bench.nets import layers as m
from bench.nets.build import Network
from bench.spec import Dense, Layer, NetworkSpec, NeuronSpec, Spike


class SharedDense(m.DenseSynapse):
    """A dense synapse with the weights of a layer of the user's module."""

    def __init__(self, linear: nn.Linear) -> None:
        m.Synapse.__init__(self, "spikes")
        self.spec = Dense(linear.out_features, linear.bias is not None)
        self.weight = cast(nn.Parameter, linear.weight)
        self.bias = linear.bias


class DenseChain(Network):
    """``Network`` of a user's dense chain; a step reads a frame of any shape."""

    @staticmethod
    def flat(x: Tensor) -> Tensor:
        """[T, B, ...] -> [T, B, n]."""
        return x.flatten(2)


def dense_chain(module: nn.Module, links: Sequence[Link], frame: Sequence[int], once: bool) -> DenseChain:
    """Return the network. Raises UserError, with the part, if the module is no such chain or its neurons are others."""
    rest = list(links)
    while rest and _flattens(module, rest[0]):
        rest.pop(0)
    layers: list[Layer] = []
    built: list[nn.Module] = []
    for link in rest:
        part = None if link.function is not None else module.get_submodule(link.path)
        if isinstance(part, nn.Linear) and _plain(part):
            layers.append(Dense(part.out_features, part.bias is not None))
            built.append(SharedDense(part))
            continue
        adapter = next((a for a in frameworks.of(part) if a.neurons(part).get("") is part), None) if part is not None else None
        if part is None or adapter is None:
            raise UserError(
                f"its traces are defined for a chain of linear layers, each with neurons, and {link.name} is "
                f"{'a function' if part is None else f'of kind {type(part).__name__}'}"
            )
        lif = adapter.lif(part)
        if not isinstance(lif, Lif):
            raise UserError(f"its equations name decay, threshold and reset of the neurons, and {link.path} {lif}")
        layers.append(Spike(lif.per_input()))
        built.append(m.Neurons(ModuleLink(part, adapter.slots(part), once), lif.per_input(), 0.0))
    if not layers:
        raise UserError("its traces are defined for a chain of linear layers, each with neurons, and there are none")
    able = dense_traces.supports(_described(type(module).__name__, layers, frame, links[-1].shape))
    if not able:
        raise UserError(able.reason)
    neuron = next(layer.neuron for layer in layers if isinstance(layer, Spike) and isinstance(layer.neuron, NeuronSpec))
    spec = _described(type(module).__name__, layers, frame, links[-1].shape, neuron)
    return DenseChain(spec, m.Chain(built), layerwise=False)


def _plain(part: nn.Linear) -> bool:
    """Whether it is PyTorch's layer or the wrapper of a framework, and no subclass with a forward of its own."""
    kind = type(part)
    return kind.__name__ == "Linear" and kind.__module__.partition(".")[0] in ("torch", "spikingjelly")


def _flattens(module: nn.Module, link: Link) -> bool:
    if link.function is not None:
        return getattr(getattr(link.function, "func", None), "__name__", "") == "flatten"
    return isinstance(module.get_submodule(link.path), nn.Flatten)


def _described(
    name: str, layers: Sequence[Layer], frame: Sequence[int], output: Sequence[int], neuron: NeuronSpec | None = None
) -> NetworkSpec:
    return NetworkSpec(name, (prod(frame),), prod(output) or 1, tuple(layers), neuron or NeuronSpec(), 0, "the module itself")
