"""Bytes that one time step of a network saves for backward, and bytes of its state: they decide how to cut a sequence."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor, nn

from bench.nets.layers import State, leaves, shallow, state_tensors

if TYPE_CHECKING:
    from bench.contracts import Stepped


class _Windowed(Protocol):
    def initial_state(self, batch: int) -> State: ...

    def window(self, x: Tensor, state: State) -> tuple[Tensor, State]: ...


def graph_and_state(net: Stepped) -> tuple[int, int]:
    """Return (A, S) in bytes for one sample: saved for backward per time step, and state between two steps."""
    twin = copy.deepcopy(net)
    cast(nn.Module, twin).to("meta")
    return difference_of_batches(twin, net.spec.input, next(net.parameters()).dtype)


def difference_of_batches(net: _Windowed, frame: Sequence[int], dtype: torch.dtype) -> tuple[int, int]:
    """Return (A, S) of a network on device 'meta' as the difference between batches of 3 and 2.

    Batch norm may need more than one sample.
    """
    (graph_2, state_2), (graph_3, state_3) = (_one_step(net, batch, frame, dtype) for batch in (2, 3))
    return graph_3 - graph_2, state_3 - state_2


def _one_step(net: _Windowed, batch: int, frame: Sequence[int], dtype: torch.dtype) -> tuple[int, int]:
    """Return (A, S) in bytes for ``batch`` samples, at the second time step. Dropout masks do not change, so S excludes them."""
    x = torch.empty(1, batch, *frame, dtype=dtype, device="meta")
    with torch.no_grad():
        _, state = net.window(x, net.initial_state(batch))
    before = {tensor.untyped_storage()._cdata for tensor in state_tensors(state)}
    start = leaves(state)
    saved: dict[int, int] = {}
    alive: list[Tensor] = []  # keeps the tensors, so that no address is reused

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in before:
            saved[storage._cdata] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        _, after = net.window(x, shallow(start))
    changed = {t.untyped_storage()._cdata: t.untyped_storage().nbytes() for t in state_tensors(after)}
    return sum(saved.values()), sum(size for address, size in changed.items() if address not in before)
