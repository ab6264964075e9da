"""What must be known of a framework to recognise its neurons and to take their hidden state out of a module.

An adapter is a module of this package that satisfies ``Framework``. It is imported only if the framework itself has been
imported: a module that is built of a framework's layers has done that.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, cast

from torch import Tensor, nn

from bench.lift.frameworks.lif import Lif

Mode = Literal["single-step", "multi-step", "whole sequence"]
ADAPTERS: Mapping[str, str] = {"spikingjelly": "bench.lift.frameworks.spikingjelly", "snntorch": "bench.lift.frameworks.snntorch"}


@dataclass(frozen=True)
class Slot:
    """One hidden state that a module keeps from one time step to the next."""

    path: str  # of the module
    name: str
    module: nn.Module
    read: Callable[[], object]
    write: Callable[[object], None]
    initial: object  # before the first time step: a number, None, an empty list, or an empty tensor

    @property
    def key(self) -> str:
        return f"{self.path}.{self.name}" if self.path else self.name


class Framework(Protocol):
    """What is known of the modules of one framework."""

    name: str

    def neurons(self, net: nn.Module) -> dict[str, nn.Module]:
        """Return the layers of neurons by path, in order; their first output is spikes, or what they emit in their place."""

    def binary(self, neuron: nn.Module) -> bool:
        """Whether the layer emits two values only, zero and a constant."""

    def emits_ones(self, neuron: nn.Module) -> bool:
        """Whether the two values are 0 and 1."""

    def leak(self, neuron: nn.Module) -> float | str:
        """Return by which factor the membrane potential decays in a time step; if that is no constant number, what it is."""

    def lif(self, neuron: nn.Module) -> Lif | str:
        """Return the neurons as data; if they are no LIF neurons with one potential and constant settings, what they are."""

    def mode(self, neuron: nn.Module) -> Mode:
        """Whether a call is one time step [B, ...], several [K, B, ...], or only ever the whole sequence."""

    def slots(self, net: nn.Module) -> list[Slot]:
        """Return the hidden states that pass from one call to the next inside the module, in order."""

    def kept(self, net: nn.Module) -> list[Slot]:
        """Return these, and what neurons keep of a state that is passed as an argument."""

    def reset(self, net: nn.Module) -> None:
        """Put every hidden state to its initial value."""

    def over_time(self, net: nn.Module) -> dict[str, str]:
        """Return the modules whose output at one time step depends on the others where a call is a sequence, and why."""

    def kernel(self, namespaces: Set[str]) -> str:
        """What the neurons run as, from the namespaces of the operators that ran: those of a kernel have their own."""

    def as_on_a_gpu(self) -> AbstractContextManager[None]:
        """In this context, neurons on CPU tensors run the operators that they run on a GPU, where the two differ."""

    def alone(self, net: nn.Module) -> AbstractContextManager[None]:
        """In this context, functions of the framework that reach every neuron ever built reach those of ``net`` only."""


def of(net: nn.Module) -> Sequence[Framework]:
    """Return the adapters of the frameworks that have been imported, those first whose neurons or states ``net`` has."""
    loaded = [cast("Framework", importlib.import_module(where)) for name, where in ADAPTERS.items() if sys.modules.get(name)]
    return [adapter for adapter in loaded if adapter.neurons(net) or adapter.slots(net)]


def state_tensors(value: object) -> list[Tensor]:
    """Return the tensors in the value of a slot."""
    if isinstance(value, Tensor):
        return [value]
    return [tensor for entry in value for tensor in state_tensors(entry)] if isinstance(value, list | tuple) else []
