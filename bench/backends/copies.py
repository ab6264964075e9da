"""Lets modules of frameworks be copied and saved at any time.

Between two training steps a framework's module may hold tensors of the last one that are part of its graph. ``copy.deepcopy``
rejects such tensors, and the graph does not belong in a copy or in a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def detached(held: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same values, tensors that are the result of an operator without their graph."""
    return {name: value.detach() if isinstance(value, Tensor) and not value.is_leaf else value for name, value in held.items()}


def state_of(module: object, *of: str) -> dict[str, Any]:
    """Return what ``__getstate__`` gives for ``module``: its attributes, those in the dictionaries ``of`` without their graph."""
    return {**module.__dict__, **{name: detached(module.__dict__[name]) for name in of}}
