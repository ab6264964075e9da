"""A network whose spikes are counted over the whole batch: Skipper chooses time steps by them, the same in every process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from bench.processes import Processes

if TYPE_CHECKING:
    from bench.nets.build import Network

Hook = Callable[[object, object, tuple[Tensor, ...]], None]


def with_spikes_of_the_batch(net: object, algorithm: str, processes: Processes | None) -> object:
    """Return ``net`` as an algorithm must see it if several processes train it."""
    return net if processes is None or algorithm != "skipper" else _WithSpikesOfTheBatch(cast("Network", net), processes)


@dataclass(frozen=True)
class _WithSpikesOfTheBatch:
    """``net``, but that a hook on its neurons is given the spikes of all processes, as their number per time step [K, 1]."""

    net: Network
    processes: Processes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.net, name)

    def neurons(self) -> list[_Layer]:
        return [_Layer(_Counted(layer.neurons, self.processes)) for layer in self.net.neurons()]


@dataclass(frozen=True)
class _Layer:
    neurons: _Counted


@dataclass(frozen=True)
class _Counted:
    module: nn.Module
    processes: Processes

    def register_forward_hook(self, hook: Hook) -> RemovableHandle:
        def summed(module: nn.Module, given: object, output: tuple[Tensor, ...]) -> None:
            counts = output[0].detach().flatten(1).sum(1, keepdim=True, dtype=torch.float64)
            self.processes.total([counts])
            hook(self, given, (counts,))

        return self.module.register_forward_hook(summed)
