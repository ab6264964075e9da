"""Layers that scale, pool or rectify, without neurons and without weights between neurons."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.nets.state import State, fold


class Scaled(nn.Module):
    """y = factor * x."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return x if self.factor == 1 else x * self.factor, state


class Weightless(nn.Module):
    """A linear function without weights, such as average pooling or reshaping; time is folded into the batch."""

    def __init__(self, f: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return fold(x, self.f), state


class AvgPool(Weightless):
    """2-D average pooling."""

    def __init__(self, kernel: int, stride: int, padding: int) -> None:
        super().__init__(partial(F.avg_pool2d, kernel_size=kernel, stride=stride, padding=padding))
        self.kernel = kernel
        self.disjoint = stride == kernel and not padding  # whether windows do not overlap


class MaxPool(nn.Module):
    """2-D max pooling. Not linear: a negative factor cannot be moved past it."""

    def __init__(self, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.f = partial(F.max_pool2d, kernel_size=kernel, stride=stride, padding=padding)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return fold(x, self.f), state


class Rectified(nn.Module):
    """max(0, x)."""

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return torch.relu(x), state


class LearnableGain(nn.Module):
    """y = factor * gain * x with a learnable scalar gain."""

    def __init__(self, factor: float, init: float) -> None:
        super().__init__()
        self.factor, self.init = factor, init
        self.gain = nn.Parameter(torch.empty(()))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.constant_(self.gain, self.init)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return x * (self.gain * self.factor), state
