"""What a training step is given in addition to its batch: the loss, the update of the weights, and a watcher."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

Loss = Callable[[Tensor], Tensor]  # outputs of K steps [K, B, C] -> their share of the loss of the sequence


class Watcher(Protocol):
    """Is notified of what the operators of a training step do not show."""

    def recomputing(self) -> AbstractContextManager[None]:
        """In this context, time steps are computed a second time."""

    def saves(self, tensors: Iterable[Tensor]) -> None:
        """The algorithm itself keeps these tensors for its backward pass; autograd's own are known."""


@dataclass(frozen=True)
class Unwatched:
    """The watcher of a step that nothing observes."""

    def recomputing(self) -> AbstractContextManager[None]:
        return nullcontext()

    def saves(self, tensors: Iterable[Tensor]) -> None:
        """Do nothing."""


@dataclass(frozen=True)
class StepContext:
    """``loss(outs[K, B, C])``: the share of K time steps in the loss; shares add up, so do not divide by T again.

    ``update()`` applies the gradients in ``.grad`` and clears them. The algorithm decides when it is called.
    """

    loss: Loss
    update: Callable[[], None]
    watcher: Watcher = Unwatched()
