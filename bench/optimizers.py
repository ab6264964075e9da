"""PyTorch's optimizers by name, with their options and PyTorch's defaults.

Two defaults differ from PyTorch's: SGD has learning rate 0.1 and momentum 0.9, as in OTTT's public code. RMSprop's ``smoothing``
is called alpha in PyTorch; here alpha is an option of the loss.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from bench.errors import UserError, choose
from bench.options import Declared, either, number


@dataclass(frozen=True)
class SGD(Declared):
    lr: float = number(0.1, meaning="learning rate")
    momentum: float = number(0.9, below=1, meaning="momentum coefficient")
    nesterov: bool = either(False, meaning="Nesterov momentum")
    weight_decay: float = number(0.0, meaning="weight decay, added to the gradient")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise UserError("nesterov = True with momentum = 0: Nesterov's method needs a momentum; use momentum > 0")

    def of(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, **self.as_dict())


@dataclass(frozen=True)
class _Moments(Declared):
    lr: float = number(1e-3, meaning="learning rate")
    beta1: float = number(0.9, below=1, meaning="decay rate of the running mean of gradients")
    beta2: float = number(0.999, below=1, meaning="decay rate of the running mean of squared gradients")
    eps: float = number(1e-8, meaning="added to the divisor for numerical stability")
    weight_decay: float = number(0.0, meaning="weight decay, added to the gradient")


@dataclass(frozen=True)
class Adam(_Moments):
    def of(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, self.lr, (self.beta1, self.beta2), self.eps, self.weight_decay)


@dataclass(frozen=True)
class AdamW(_Moments):
    weight_decay: float = number(0.01, meaning="decoupled weight decay")

    def of(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, self.lr, (self.beta1, self.beta2), self.eps, self.weight_decay)


@dataclass(frozen=True)
class Adamax(_Moments):
    lr: float = number(2e-3, meaning="learning rate")

    def of(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adamax(parameters, self.lr, (self.beta1, self.beta2), self.eps, self.weight_decay)


@dataclass(frozen=True)
class RMSprop(Declared):
    lr: float = number(0.01, meaning="learning rate")
    smoothing: float = number(0.99, below=1, meaning="decay rate of the running mean of squared gradients")
    eps: float = number(1e-8, meaning="added to the divisor for numerical stability")
    momentum: float = number(0.0, below=1, meaning="momentum coefficient")
    centered: bool = either(False, meaning="divide by the standard deviation instead of the root mean square")
    weight_decay: float = number(0.0, meaning="weight decay, added to the gradient")

    def of(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(parameters, self.lr, self.smoothing, self.eps, self.weight_decay, self.momentum, self.centered)


Optimizer = SGD | Adam | AdamW | Adamax | RMSprop
KINDS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "adamax": Adamax, "rmsprop": RMSprop}


def kind(name: object) -> type[Optimizer]:
    """Return the optimizer of this name. Raises UserError, with close matches, for an unknown one."""
    if not isinstance(name, str):
        raise UserError(f"optimizer = {name!r} is not a name; use one of {', '.join(KINDS)}")
    return KINDS[choose("optimizer", name, KINDS)]
