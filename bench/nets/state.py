"""What layers carry from one time step to the next, and how functions of a time step apply to a window.

A state is a tensor, None (zero, or no state), or a list of states. It is consumed: a layer removes its entry from the list and
puts the new one in its place, so that old and new state are not alive at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor

State = Any  # Tensor | None | list[State]; type checkers cannot follow the recursion through nn.Module


def fold(x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function of [N, ...] to x [K, B, ...], with time folded into the batch (N = K B)."""
    y: Tensor = f(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    return y


def map_state(f: Callable[[Tensor], Tensor], state: State) -> State:
    if isinstance(state, list):
        return [map_state(f, entry) for entry in state]
    return None if state is None else f(state)


def state_tensors(state: State) -> Iterator[Tensor]:
    if isinstance(state, list):
        for entry in state:
            yield from state_tensors(entry)
    elif state is not None:
        yield state


def leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(tensor.is_floating_point())


def shallow(state: State) -> State:
    """Return the same tensors in new lists: a network consumes the lists it is given."""
    return map_state(lambda tensor: tensor, state)


def leaves(state: State) -> State:
    """Return the state as leaf tensors, so that back-propagation stops there and dL/d(state) is in ``.grad``."""
    return map_state(leaf, state)
