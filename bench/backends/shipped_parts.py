"""Small modules and adapters that the networks and training functions of several frameworks need."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn


class ScaledBy(nn.Module):
    """y = factor * x."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class UpdateAsOptimizer:
    """The optimizer that a framework's training function asks for: its ``step`` calls ``update``."""

    def __init__(self, update: Callable[[], None]) -> None:
        self.step = update

    def zero_grad(self) -> None:
        """Do nothing: the update clears the gradients."""
