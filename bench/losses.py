"""The loss of a sequence: a sum over time steps, so that online algorithms can compute it step by step.

    L = sum_t L[t],   L[t] = (1/T) * ((1 - alpha) * CE(o[t], y) + alpha * MSE(o[t], z))

o[t] [B, C] outputs, y [B] class indices. CE is the mean over the batch, MSE the mean over batch and classes. The target z of the
squared error is onehot(y), or 1 for every class.
Source: OTTT (Xiao et al. 2022), instantaneous loss, and its public code; z = 1: public commands of SLTT (Meng et al. 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.errors import choose
from bench.options import Declared, number, one_of

SquaredTarget = Literal["one-hot", "ones"]


@dataclass(frozen=True)
class Loss(Declared):
    alpha: float = number(0.05, most=1, meaning="weight of the squared error in the loss")
    squared_target: str = one_of("one-hot", get_args(SquaredTarget), meaning="target of the squared error")


@dataclass(frozen=True)
class InstantaneousLoss:
    """``loss(outs[K, B, C]) -> scalar``: the sum of L[t] over the K time steps of ``outs``.

    ``target`` [B] class indices; ``T`` time steps of the whole sequence; ``weight`` factor on the whole loss, used when
    gradients of several batches are accumulated; ``alpha`` and ``squared_target``: see ``Loss``.
    """

    target: Tensor
    T: int
    alpha: float = 0.05
    weight: float = 1.0
    squared_target: str = "one-hot"

    def __post_init__(self) -> None:
        choose("squared_target", self.squared_target, get_args(SquaredTarget))

    def __call__(self, outs: Tensor) -> Tensor:
        steps, batch, classes = outs.shape
        target = self.target.repeat(steps) if steps > 1 else self.target
        flat = outs.reshape(steps * batch, classes)
        share = self.weight * steps / self.T  # both terms below are means over the K steps
        loss = F.cross_entropy(flat, target) * ((1 - self.alpha) * share)
        if self.alpha > 0:
            z = torch.ones_like(flat) if self.squared_target == "ones" else F.one_hot(target, classes).to(flat.dtype)
            loss = loss + F.mse_loss(flat, z) * (self.alpha * share)
        return loss
