"""One training step of an algorithm on a backend: built and checked here, measured by the probes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from bench import algorithms, backends, networks, optimizers
from bench.losses import InstantaneousLoss, Loss
from bench.networks.build import build
from bench.networks.normed import require_variance, single_valued
from bench.options import Declared, choose_option, of_probe
from bench.spec import YES, Case, NetworkSpec, Support, UserError, no, seed_of

Update = Callable[[], None]
WITHIN_A_BATCH = "gradients of several batches: this algorithm changes the weights within a batch; use accumulate = 1"


@dataclass(frozen=True)
class Recipe:
    """The checked settings of a training step: options of the algorithm (or of the shipped implementation), loss, optimizer."""

    rule: Declared
    loss: Loss
    optimizer: optimizers.Optimizer
    updates_once: bool  # whether the weights change once per batch, at its end

    def as_dict(self) -> dict[str, Any]:
        """Every option with its value, including defaults."""
        name = next(name for name, kind in optimizers.KINDS.items() if type(self.optimizer) is kind)
        return {**self.rule.as_dict(), **self.loss.as_dict(), "optimizer": name, **self.optimizer.as_dict()}


def recipe(algorithm: str, backend: str, told: Mapping[str, Any]) -> Recipe:
    """Build a recipe from named options. Raises UserError for an unknown name (with close matches) or an invalid value."""
    module, rule = backends.load(backend), algorithms.load(algorithm)
    shipped = hasattr(module, "shipped")
    own: type[Declared] = module.Options if shipped else rule.Options
    optimizer = optimizers.kind(told.get("optimizer", "sgd"))
    kinds: tuple[type[Declared], ...] = (own, Loss, optimizer)
    for name in told:
        choose_option(f"{algorithm} on {backend}", name, ["optimizer", *(name for kind in kinds for name in kind.names())])
    mine, loss, by = (kind(**{name: told[name] for name in kind.names() if name in told}) for kind in kinds)
    once = mine.updates_once and (not shipped or rule.Options().updates_once)
    assert isinstance(loss, Loss)
    assert isinstance(by, optimizers.Optimizer)
    return Recipe(mine, loss, by, once)


@dataclass(frozen=True)
class TrainingStep:
    """A network with everything needed to train it on one batch.

    ``forward_backward(x[T, B, ...], target[B], update, weight = 1)`` runs the algorithm and returns the outputs summed over
    time [B, C]. It calls ``update`` whenever the algorithm changes the weights; the loss is multiplied by ``weight``.
    """

    net: nn.Module
    optimizer: torch.optim.Optimizer
    forward_backward: Callable[..., Tensor]
    kernel: str
    recipe: Recipe

    def run(self, x: Tensor, target: Tensor) -> Tensor:
        """Train on one batch and update the weights. x [T, B, ...], target [B]; returns the summed outputs [B, C]."""
        return self.forward_backward(x, target, self.update)

    def gradients(self, x: Tensor, target: Tensor) -> Tensor:
        """Leave the batch's gradients in ``.grad`` without updating the weights (OTTT-O then gives OTTT-A's gradient)."""
        self.optimizer.zero_grad(set_to_none=True)
        return self.forward_backward(x, target, lambda: None)

    def gather(self, x: Tensor, target: Tensor, weight: float) -> Tensor:
        """Add ``weight`` times the batch's gradients to ``.grad``; ``update`` then changes the weights.

        Raises UserError if the algorithm updates the weights more than once per batch.
        """
        if not self.recipe.updates_once:
            raise UserError(WITHIN_A_BATCH)
        return self.forward_backward(x, target, lambda: None, weight)

    def update(self) -> None:
        """Update the weights from the gradients in ``.grad``, then clear these."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def support(
    network: str, algorithm: str, backend: str, *, T: int | None = None, options: Mapping[str, Any] | None = None
) -> Support:
    """Return whether this combination exists; ``options`` and the sequence length ``T`` are checked if they are given.

    Imports the backend's framework if it is installed. Raises UserError for an unknown option or an invalid value.
    """
    available = backends.available(backend)
    if not available:
        return available
    spec = networks.spec(network)
    module, rule = backends.load(backend), algorithms.load(algorithm)
    has = backends.supports(module, spec)
    if not has:
        return has
    exists = module.ships(spec, algorithm) if hasattr(module, "shipped") else _trains(spec, algorithm, rule, module)
    if not exists:
        return no(exists.reason)
    chosen = recipe(algorithm, backend, options or {})
    if T is not None:
        chosen.rule.suits(spec, T)
    if hasattr(rule, "runs_on") and not hasattr(module, "shipped"):
        answer: Support = rule.runs_on(module, spec, chosen.rule)
        return answer
    return YES


def _trains(spec: NetworkSpec, algorithm: str, rule: ModuleType, backend: ModuleType) -> Support:
    """Return whether an algorithm of this suite can train the network with a backend's neurons."""
    if backend.name == "spikingjelly-multistep" and not rule.in_windows:
        return no(f"{algorithm} runs one time step at a time, so multi-step mode has no effect; use backend spikingjelly")
    if backend.name != getattr(rule, "only_on", backend.name):
        return no(f"{algorithm} runs on backend {rule.only_on} only")
    answer: Support = rule.supports(spec)
    return answer


# The results of these probes do not depend on the sequence length of the case.
_WITHOUT_T = ("count", "longest", "events")


def check(case: Case) -> Support:
    """Return whether a case can be measured, before anything is computed. Raises UserError if one of its options is invalid."""
    own = of_probe(case)
    T = None if case.probe in _WITHOUT_T else case.T
    able = support(case.network, case.algorithm, case.backend, T=T, options=case.algorithm_options)
    if not able:
        return able
    if case.probe == "count" and hasattr(backends.load(case.backend), "shipped"):
        return no("probe count applies to networks built by this suite; a framework's shipped implementation has other layers")
    if case.probe == "gradient" and not (exact := support(case.network, "bptt", case.backend)):
        return no(f"gradient fidelity compares with BPTT on the same backend: {exact.reason}")
    if getattr(own, "accumulate", 1) > 1 and not recipe(case.algorithm, case.backend, case.algorithm_options).updates_once:
        return no(WITHIN_A_BATCH)
    return YES


def training_step(
    network: str, algorithm: str, backend: str, *, device: str = "cpu", seed: int = 0, **options: Any
) -> TrainingStep:
    """Build network, loss and optimizer. The initial weights depend on ``network`` and ``seed`` (device 'meta' has none).

    ``options``: those of the algorithm or of the shipped implementation; ``alpha`` of the loss; ``optimizer`` and its own
    options (bench/optimizers.py). Raises UserError with the reason if the combination does not exist (see ``support``).
    """
    spec = networks.spec(network)
    module = backends.load(backend)
    able = support(network, algorithm, backend, options=options)
    if not able:
        raise UserError(f"{algorithm} on backend {backend}, network {network}: {able.reason}")
    chosen = recipe(algorithm, backend, options)
    if hasattr(module, "shipped"):
        net, train_step = module.shipped(spec, algorithm, device, chosen.rule)
    else:
        rule = algorithms.load(algorithm)
        net, train_step = rule.prepare(build(spec, module, device), chosen.rule), rule.train_step
    if device != "meta":
        net.reset_parameters(seed_of("weights", network, seed))
    net.train()

    single_valued(spec)  # cached now, so that its operators are not counted by a probe later

    def forward_backward(x: Tensor, target: Tensor, update: Update, weight: float = 1.0) -> Tensor:
        require_variance(spec, x.shape[1])
        out: Tensor = train_step(net, x, InstantaneousLoss(target, x.shape[0], chosen.loss.alpha, weight), update, chosen.rule)
        return out

    return TrainingStep(net, chosen.optimizer.of(net.parameters()), forward_backward, module.kernel(), chosen)
