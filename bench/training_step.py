"""One training step of an algorithm on a backend, ready to run: what every probe looks at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from bench import algorithms, backends, networks
from bench.losses import InstantaneousLoss
from bench.networks.build import build
from bench.networks.normed import require_variance, single_valued
from bench.spec import YES, NetworkSpec, Support, UserError, no, seed_of

Update = Callable[[], None]


@dataclass(frozen=True)
class TrainingStep:
    """``forward_backward(x[T, B, ...], target[B], update)`` trains on one batch and returns the summed outputs [B, C].

    ``update`` is called whenever the algorithm would change the weights from the gradients in ``.grad``.
    """

    net: nn.Module
    optimizer: torch.optim.Optimizer
    forward_backward: Callable[[Tensor, Tensor, Update], Tensor]
    kernel: str

    def run(self, x: Tensor, target: Tensor) -> Tensor:
        """Train on one batch: the weights change."""
        return self.forward_backward(x, target, self._update)

    def gradients(self, x: Tensor, target: Tensor) -> Tensor:
        """Leave the batch's gradients in ``.grad``; no weight changes (OTTT-O then gathers what OTTT-A does)."""
        self.optimizer.zero_grad(set_to_none=True)
        return self.forward_backward(x, target, lambda: None)

    def _update(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def support(network: str, algorithm: str, backend: str) -> Support:
    """Whether this combination exists. Imports the backend's framework if it is installed."""
    available = backends.available(backend)
    if not available:
        return available
    module = backends.load(backend)
    rule = algorithms.load(algorithm)
    usable: Support = module.usable() if hasattr(module, "usable") else YES
    if not usable:
        return usable
    if hasattr(module, "shipped"):
        answer: Support = module.ships(networks.spec(network), algorithm)
        return answer
    if backend == "spikingjelly-multistep" and not rule.in_windows:
        return no(f"{algorithm} goes one time step at a time: multi-step mode has nothing to fold (see 'spikingjelly')")
    if backend != getattr(rule, "only_on", backend):
        return no(f"{algorithm} needs the neurons of the {rule.only_on} backend")
    answer = rule.supports(networks.spec(network))
    return answer


def training_step(
    network: str,
    algorithm: str,
    backend: str,
    *,
    device: str = "cpu",
    seed: int = 0,
    alpha: float = 0.05,
    optimizer: str = "sgd",
    lr: float = 0.1,
    weight_decay: float = 0.0,
    **options: Any,
) -> TrainingStep:
    """Build everything; weights are drawn from names and ``seed`` (on device 'meta' there are none to draw).

    ``alpha`` is the loss's; ``options`` are the algorithm's own, or those of what a framework ships.
    """
    spec = networks.spec(network)
    module = backends.load(backend)
    if hasattr(module, "shipped"):
        _require_shipped(module, spec, algorithm, options)
        net, step = module.shipped(spec, algorithm, device, **options)
    else:
        rule = algorithms.load(algorithm)
        net = rule.prepare(build(spec, module, device), **options)
        step = partial(rule.train_step, **options)
    if device != "meta":
        net.reset_parameters(seed_of("weights", network, seed))
    net.train()

    single_valued(spec)  # found now, and not while operators are watched

    def forward_backward(x: Tensor, target: Tensor, update: Update) -> Tensor:
        require_variance(spec, x.shape[1])
        out: Tensor = step(net, x, InstantaneousLoss(target, x.shape[0], alpha), update)
        return out

    chosen = _optimizer(net, optimizer, lr, weight_decay)
    return TrainingStep(net, chosen, forward_backward, module.kernel())


def _require_shipped(module: ModuleType, spec: NetworkSpec, algorithm: str, options: Mapping[str, Any]) -> None:
    able = module.ships(spec, algorithm)
    if not able:
        raise UserError(f"backend {module.name}, network {spec.name}: {able.reason}")
    for option in options:
        if option not in module.options:
            raise UserError(f"backend {module.name} has no option {option!r}; it takes {', '.join(module.options) or 'none'}")


def _optimizer(net: nn.Module, name: str, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    if name == "adam":
        return torch.optim.Adam(net.parameters(), lr=lr, weight_decay=weight_decay)
    return torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=weight_decay)
