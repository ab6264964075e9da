"""Bytes that one time step of a network saves for backward, and bytes of its state: they decide how to cut a sequence.

Measured on a copy on device 'meta', as the difference between batches of 3 and 2 (batch norm may need more than one sample).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from bench.nets.layers import leaves, shallow, state_tensors

if TYPE_CHECKING:
    from bench.contracts import Stepped


def graph_and_state(net: Stepped) -> tuple[int, int]:
    """Return (A, S) in bytes for one sample: saved for backward per time step, and state between two steps.

    Measured on a copy on device 'meta', as the difference between batches of 3 and 2 (batch norm may need more than one sample).
    """
    twin = copy.deepcopy(net)
    cast(nn.Module, twin).to("meta")
    (graph_2, state_2), (graph_3, state_3) = _one_step(twin, 2), _one_step(twin, 3)
    return graph_3 - graph_2, state_3 - state_2


def _one_step(net: Stepped, batch: int) -> tuple[int, int]:
    """Return (A, S) in bytes for ``batch`` samples, at the second time step. Dropout masks do not change, so S excludes them."""
    x = torch.empty(1, batch, *net.spec.input, device="meta")
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
