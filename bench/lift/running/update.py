"""The update of weights at the end of a training step: by the user's optimizer, and by one like it for auxiliary classifiers.

Where several processes train copies of the module, each on its own samples,

    gradient = sum over processes r of  B_r / (B_1 + B_2 + ...) * gradient_r        B_r: samples of process r

which is the gradient of the mean over all samples, if the loss of a process is the mean over its own. It is formed at every
update: once per batch, or after every window or time step of an algorithm that updates there. At the first step weights and
buffers become those of the first process; buffers, such as the running averages of batch norm, also at every later one. Each
process takes the statistics of batch norm from its own samples, and draws its own dropout masks (and time steps, SLTT-K).
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from bench.processes import Processes

_NOT_SETTINGS = ("params", "param_names")


@dataclass
class Update:
    """``update()`` applies the gradients in ``.grad`` and clears them; without an optimizer it leaves them there.

    ``processes``: gradients are those of the samples of all of them. ``clip``: largest norm of the gradient of all weights
    together. ``classifiers`` are trained beside the module, by an optimizer
    with the settings of the first group of the user's, which is left as it is.
    """

    module: nn.Module
    optimizer: torch.optim.Optimizer | None
    clip: float | None
    scaler: GradScaler | None
    classifiers: nn.Module | None = None
    beside: torch.optim.Optimizer | None = None
    processes: Processes | None = None
    share: float = 1.0  # of the samples of all processes that this one has in the present batch

    def also(self, classifiers: nn.Module | None) -> None:
        """Train these too, from now on."""
        self.classifiers = classifiers
        weights = [] if classifiers is None else [weight for weight in classifiers.parameters() if weight.requires_grad]
        self.beside = None if self.optimizer is None or not weights else _like(self.optimizer, weights)

    def begin(self, samples: int, first: bool) -> None:
        """Of several processes: take over the first one's values, and learn the share of this one's ``samples``."""
        if self.processes is None:
            return
        values = list(self._kept() if first else self._buffers())
        total = torch.tensor([float(samples)], device=next(self.module.parameters()).device)
        self.processes.take_from_first(values)
        self.processes.total([total])
        self.share = samples / float(total)

    def _kept(self) -> Iterator[Tensor]:
        """Weights and buffers, also those of the classifiers: a ``fixed`` one has its weights in a buffer."""
        yield from self.weights()
        yield from self._buffers()
        if self.classifiers is not None:
            yield from self.classifiers.buffers()

    def _buffers(self) -> Iterator[Tensor]:
        """Those of the module that its state_dict has: others hold the present samples, as snnTorch's ``mem``."""
        kept = self.module.state_dict().keys()
        yield from (value for name, value in self.module.named_buffers() if name in kept)

    def __call__(self) -> None:
        if self.optimizer is None:
            return
        if self.processes is not None:
            self.processes.total(weight.grad.mul_(self.share) for weight in self.weights() if weight.grad is not None)
        if self.beside is not None:
            self.beside.param_groups[0].update(_settings(self.optimizer))
        optimizers = [each for each in (self.optimizer, self.beside) if each is not None]
        if self.scaler is not None:
            for optimizer in optimizers:
                self.scaler.unscale_(optimizer)
        if self.clip is not None:
            nn.utils.clip_grad_norm_(self.weights(), self.clip)
        for optimizer in optimizers:
            if self.scaler is None:
                optimizer.step()
            else:
                self.scaler.step(optimizer)
        if self.scaler is not None:
            self.scaler.update()
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)

    def together(self) -> torch.optim.Optimizer | None:
        """Return an optimizer that holds the states of both, to be counted."""
        if self.optimizer is None or self.beside is None:
            return self.optimizer
        both = copy.copy(self.optimizer)
        both.state = defaultdict(dict, {**self.optimizer.state, **self.beside.state})
        return both

    def weights(self) -> Iterator[nn.Parameter]:
        yield from self.module.parameters()
        if self.classifiers is not None:
            yield from self.classifiers.parameters()


def _settings(optimizer: torch.optim.Optimizer) -> dict[str, object]:
    return {name: value for name, value in optimizer.param_groups[0].items() if name not in _NOT_SETTINGS}


def _like(optimizer: torch.optim.Optimizer, weights: list[nn.Parameter]) -> torch.optim.Optimizer:
    """Return an optimizer of the same kind and settings for other weights."""
    own = copy.copy(optimizer)
    own.state = defaultdict(dict)
    own.param_groups = [_settings(optimizer) | {"params": weights}]
    return own
