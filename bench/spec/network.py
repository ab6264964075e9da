"""A network as data: its layers, its default neuron and the shape of its inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from bench.errors import UserError, choose
from bench.spec.layers import Layer, Spike, check_layers, every_layer
from bench.spec.neurons import BeyondLIF, Neuron, NeuronSpec
from bench.spec.values import whole

Encoding = Literal["static", "frames"]


@dataclass(frozen=True)
class NetworkSpec:
    """A network: its layers, default neuron, and the shape of its inputs.

    ``neuron`` is the LIF neuron of its layers, or the one that they are built on.

    ``parameters`` is the number that ``source`` states; building the network checks it. ``encoding``: a sample is the same image
    at every time step ("static"), or one frame per time step ("frames").
    """

    name: str
    input: tuple[int, ...]  # shape of one sample at one time step: (C, H, W) or (features,)
    classes: int
    layers: tuple[Layer, ...]
    neuron: NeuronSpec
    parameters: int
    source: str
    encoding: Encoding = "static"

    def __post_init__(self) -> None:
        for size in (*self.input, self.classes):
            whole(f"size of network {self.name}", size, 1)
        check_layers(f"layers of network {self.name}", self.layers)
        if not isinstance(self.neuron, NeuronSpec):
            raise UserError(f"neuron of network {self.name} = {self.neuron!r}: use a NeuronSpec")
        choose("encoding", self.encoding, get_args(Encoding))

    @property
    def neurons(self) -> tuple[Neuron, ...]:
        """The different neurons of the layers, in their order."""
        return tuple(dict.fromkeys(layer.neuron for layer in every_layer(self.layers) if isinstance(layer, Spike)))

    @property
    def neuron_layers(self) -> int:
        """The number of layers of neurons, on every backend."""
        return sum(isinstance(layer, Spike) for layer in every_layer(self.layers))

    @property
    def beyond_lif(self) -> BeyondLIF | None:
        """The first neuron that is not plain LIF; None if all are, so that the equations of NeuronSpec are the network's."""
        return next((neuron for neuron in self.neurons if not isinstance(neuron, NeuronSpec)), None)
