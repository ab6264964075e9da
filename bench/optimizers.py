"""PyTorch's optimizers by name, with their options and PyTorch's defaults.

Two defaults differ from PyTorch's: SGD has learning rate 0.1 and momentum 0.9, as in OTTT's public code. RMSprop's ``smoothing``
is called alpha in PyTorch; here alpha is an option of the loss.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from bench.options import Declared, either, number
from bench.spec import UserError, choose


@dataclass(frozen=True)
class SGD(Declared):
    lr: float = number(0.1, "learning rate")
    momentum: float = number(0.9, "share of the former change that goes on", below=1)
    nesterov: bool = either(False, "look ahead along the momentum")
    weight_decay: float = number(0.0, "decay of the weights, through the gradient")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.nesterov and self.momentum == 0:
            raise UserError("nesterov = True with momentum = 0: Nesterov's method needs a momentum; use momentum > 0")

    def of(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.SGD(parameters, **self.as_dict())


@dataclass(frozen=True)
class _Moments(Declared):
    lr: float = number(1e-3, "learning rate")
    beta1: float = number(0.9, "decay of the gradient's running mean", below=1)
    beta2: float = number(0.999, "decay of its running square", below=1)
    eps: float = number(1e-8, "what keeps the divisor from zero")
    weight_decay: float = number(0.0, "decay of the weights, through the gradient")


@dataclass(frozen=True)
class Adam(_Moments):
    def of(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, self.lr, (self.beta1, self.beta2), self.eps, self.weight_decay)


@dataclass(frozen=True)
class AdamW(_Moments):
    weight_decay: float = number(0.01, "decay of the weights, beside the gradient")

    def of(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, self.lr, (self.beta1, self.beta2), self.eps, self.weight_decay)


@dataclass(frozen=True)
class Adamax(_Moments):
    lr: float = number(2e-3, "learning rate")

    def of(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.Adamax(parameters, self.lr, (self.beta1, self.beta2), self.eps, self.weight_decay)


@dataclass(frozen=True)
class RMSprop(Declared):
    lr: float = number(0.01, "learning rate")
    smoothing: float = number(0.99, "decay of the running square of the gradient", below=1)
    eps: float = number(1e-8, "what keeps the divisor from zero")
    momentum: float = number(0.0, "share of the former change that goes on", below=1)
    centered: bool = either(False, "divide by the standard deviation in place of the root mean square")
    weight_decay: float = number(0.0, "decay of the weights, through the gradient")

    def of(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.RMSprop(parameters, self.lr, self.smoothing, self.eps, self.weight_decay, self.momentum, self.centered)


Optimizer = SGD | Adam | AdamW | Adamax | RMSprop
KINDS: dict[str, type[Optimizer]] = {"sgd": SGD, "adam": Adam, "adamw": AdamW, "adamax": Adamax, "rmsprop": RMSprop}


def kind(name: object) -> type[Optimizer]:
    """Return the optimizer of this name. Raises UserError, with close matches, for an unknown one."""
    if not isinstance(name, str):
        raise UserError(f"optimizer = {name!r} is no name; use one of {', '.join(KINDS)}")
    return KINDS[choose("optimizer", name, KINDS)]
