"""One training step of an algorithm on a backend: built and checked here, measured by the probes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn

from bench import algorithms, backends, optimizers, zoo
from bench.algorithms.context import StepContext, Unwatched, Watcher
from bench.errors import YES, Support, UserError, no
from bench.losses import InstantaneousLoss, Loss
from bench.nets.batch_norm import require_variance
from bench.nets.build import build
from bench.options import Declared, choose_option
from bench.registry import BACKENDS
from bench.seeds import seed_of
from bench.spec import NetworkSpec

if TYPE_CHECKING:
    from bench.contracts import Algorithm, Backend, Shipped, Trainable, TrainStep

DEVICES = "'cpu', 'cuda', or 'meta' for shapes alone"
WITHIN_A_BATCH = "gradients of several batches: this algorithm changes the weights within a batch; use accumulate = 1"


@dataclass(frozen=True)
class Recipe:
    """The checked settings of a training step: options of the algorithm (or of the shipped implementation), loss, optimizer."""

    options: Declared
    loss: Loss
    optimizer: optimizers.Optimizer
    updates_once: bool  # whether the weights change once per batch, at its end

    def as_dict(self) -> dict[str, object]:
        """Every option with its value, including defaults."""
        name = next(name for name, kind in optimizers.KINDS.items() if type(self.optimizer) is kind)
        return {**self.options.as_dict(), **self.loss.as_dict(), "optimizer": name, **self.optimizer.as_dict()}


def recipe(algorithm: str, backend: str, named: Mapping[str, object]) -> Recipe:
    """Build a recipe from named options. Raises UserError for an unknown name (with close matches) or an invalid value."""
    rule, shipped = algorithms.load(algorithm), _shipped(backend)
    own = rule.Options if shipped is None else shipped.Options
    optimizer = optimizers.kind(named.get("optimizer", "sgd"))
    kinds: tuple[type[Declared], ...] = (own, Loss, optimizer)
    for name in named:
        choose_option(f"{algorithm} on {backend}", name, ["optimizer", *(name for kind in kinds for name in kind.names())])
    own_options, loss, optimizer_options = (
        kind(**{name: named[name] for name in kind.names() if name in named}) for kind in kinds
    )
    updates_once = own_options.updates_once and (shipped is None or rule.Options().updates_once)
    assert isinstance(loss, Loss)
    assert isinstance(optimizer_options, optimizers.Optimizer)
    return Recipe(own_options, loss, optimizer_options, updates_once)


def _shipped(backend: str) -> Shipped | None:
    """Return a backend that ships its own training; None for one with neurons for this suite's algorithms."""
    return cast("Shipped", backends.load(backend)) if BACKENDS[backend].ships else None


@dataclass(frozen=True)
class TrainingStep:
    """A network with everything needed to train it on one batch x [T, B, ...], target [B] (class indices).

    Copies (``copy.deepcopy``) train their own network.
    """

    net: nn.Module
    optimizer: torch.optim.Optimizer
    train_step: TrainStep
    kernel: str
    recipe: Recipe

    @property
    def trainable(self) -> Trainable:
        """The network by what it can be asked: ``spec``, ``outputs``, ``neurons`` ..."""
        return cast("Trainable", self.net)

    def run(self, x: Tensor, target: Tensor, watcher: Watcher | None = None) -> Tensor:
        """Train on one batch and update the weights; returns the outputs summed over time [B, C].

        ``watcher`` is notified of what operators do not show (bench/algorithms/context.py). Raises UserError for a batch that
        does not suit the network.
        """
        return self.forward_backward(x, target, self.update, watcher=watcher)

    def gradients(self, x: Tensor, target: Tensor) -> Tensor:
        """Leave the batch's gradients in ``.grad`` without updating the weights (OTTT-O then gives OTTT-A's gradient)."""
        check_batch(self.trainable, x, target)
        self.optimizer.zero_grad(set_to_none=True)
        return self._forward_backward(x, target, lambda: None)

    def accumulate(self, x: Tensor, target: Tensor, weight: float) -> Tensor:
        """Add ``weight`` times the batch's gradients to ``.grad``; ``update`` then changes the weights.

        Raises UserError if the algorithm updates the weights more than once per batch.
        """
        if not self.recipe.updates_once:
            raise UserError(WITHIN_A_BATCH)
        if not isinstance(weight, Real) or isinstance(weight, bool) or not math.isfinite(weight):
            raise UserError(f"weight = {weight!r} of a batch: use a finite number, such as its share of the samples of an update")
        return self.forward_backward(x, target, lambda: None, weight)

    def forward_backward(
        self, x: Tensor, target: Tensor, update: Callable[[], None], weight: float = 1.0, watcher: Watcher | None = None
    ) -> Tensor:
        """Run the algorithm on one batch. It calls ``update`` where weights change; the loss is multiplied by ``weight``."""
        check_batch(self.trainable, x, target)
        return self._forward_backward(x, target, update, weight, watcher)

    def _forward_backward(
        self, x: Tensor, target: Tensor, update: Callable[[], None], weight: float = 1.0, watcher: Watcher | None = None
    ) -> Tensor:
        named = self.recipe.loss
        loss = InstantaneousLoss(target, x.shape[0], named.alpha, weight, named.squared_target)
        return self.train_step(self.net, x, StepContext(loss, update, watcher or Unwatched()), self.recipe.options)

    def update(self) -> None:
        """Update the weights from the gradients in ``.grad``, then clear these."""
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)


def check_batch(net: Trainable, x: Tensor, target: Tensor) -> None:
    """Raise UserError unless ``net`` can be trained on x [T, B, ...] and target [B], before anything is computed or changed.

    Runs no operator, so that nothing is counted. On a GPU the range of the targets is not checked: that would wait for the GPU
    at every step.
    """
    if not torch.is_grad_enabled():
        raise UserError("gradients are disabled here: call a training step outside of torch.no_grad() and inference_mode()")
    spec, weight = net.spec, next(cast("nn.Module", net).parameters())
    _check_input(spec, weight, x)
    _check_target(spec, weight, x.shape[1], target)
    require_variance(spec, x.shape[1])


def _check_input(spec: NetworkSpec, weight: Tensor, x: Tensor) -> None:
    if not isinstance(x, Tensor) or not x.is_floating_point():
        raise UserError(f"x is {_described(x)}; use a tensor of floats, e.g. x.float() / 255 for bytes of images")
    if x.dim() < 2 or x.shape[2:] != spec.input or 0 in x.shape:
        wanted = ", ".join(map(str, spec.input))
        raise UserError(f"x has shape {list(x.shape)}; {spec.name} takes [T, B, {wanted}] with T >= 1 and B >= 1")
    if x.device != weight.device:
        raise UserError(f"x is on {x.device}, but the weights are on {weight.device}: use x.to({str(weight.device)!r})")
    if x.dtype != weight.dtype and not _autocast_converts(x, weight):
        name = {torch.float32: "x.float()", torch.float64: "x.double()"}.get(weight.dtype, f"x.to({weight.dtype})")
        raise UserError(f"x is {_described(x)}, but the weights are {weight.dtype}: use {name}, or convert the network")
    if x.requires_grad:
        raise UserError("x requires a gradient, but a training step computes those of the weights alone: use x.detach()")
    if x.is_inference():
        raise UserError("x was made in torch.inference_mode(), so nothing can be trained on it: use x.clone()")


def _autocast_converts(x: Tensor, weight: Tensor) -> bool:
    """Whether autocast is on and brings the two to one type: it converts every type of float except double precision."""
    on = x.device.type != "meta" and torch.is_autocast_enabled(x.device.type)
    return on and torch.float64 not in (x.dtype, weight.dtype)


def _check_target(spec: NetworkSpec, weight: Tensor, batch: int, target: Tensor) -> None:
    if not isinstance(target, Tensor) or target.dtype != torch.long:
        raise UserError(f"target is {_described(target)}; use class indices, a tensor of torch.long [B], e.g. target.long()")
    if target.shape != (batch,):
        raise UserError(f"target has shape {list(target.shape)}; use one class index for each sample, shape [{batch}]")
    if target.device != weight.device:
        to = str(weight.device)
        raise UserError(f"target is on {target.device}, but the weights are on {to}: use target.to({to!r})")
    if type(target) is Tensor and target.device.type == "cpu":
        values = target.numpy()  # not torch: a probe would count its operators
        if values.min() < 0 or values.max() >= spec.classes:
            raise UserError(f"target holds {values.min()} to {values.max()}; {spec.name} has the classes 0 to {spec.classes - 1}")


def _described(value: object) -> str:
    return f"a tensor of {value.dtype}" if isinstance(value, Tensor) else f"{value!r:.60} of type {type(value).__name__}"


def support(
    network: str, algorithm: str, backend: str, *, T: int | None = None, options: Mapping[str, object] | None = None
) -> Support:
    """Return whether this combination exists; ``options`` and the sequence length ``T`` are checked if they are given.

    Imports the backend's framework if it is installed. Raises UserError for an unknown option or an invalid value.
    """
    if T is not None and (type(T) is not int or T < 1):
        raise UserError(f"T = {T!r}: use a whole number of time steps >= 1")
    available = backends.available(backend)
    if not available:
        return available
    spec = zoo.spec(network)
    module, rule, shipped = backends.load(backend), algorithms.load(algorithm), _shipped(backend)
    has = backends.supports(module, spec)
    if not has:
        return has
    exists = _trains(spec, algorithm, rule, cast("Backend", module)) if shipped is None else shipped.ships(spec, algorithm)
    if not exists:
        return exists
    chosen = recipe(algorithm, backend, options or {})
    if T is not None:
        chosen.options.suits(spec, T)
    runs_on: Callable[..., Support] | None = getattr(rule, "runs_on", None)
    return YES if shipped is not None or runs_on is None else runs_on(module, spec, chosen.options)


def _trains(spec: NetworkSpec, algorithm: str, rule: Algorithm, backend: Backend) -> Support:
    """Return whether an algorithm of this suite can train the network with a backend's neurons."""
    if backend.name == "spikingjelly-multistep" and not rule.in_windows:
        return no(f"{algorithm} runs one time step at a time, so multi-step mode has no effect; use backend spikingjelly")
    only_on = getattr(rule, "only_on", backend.name)
    if backend.name != only_on:
        return no(f"{algorithm} runs on backend {only_on} only")
    return rule.supports(spec)


def training_step(
    network: str, algorithm: str, backend: str, *, device: str = "cpu", seed: int = 0, **options: object
) -> TrainingStep:
    """Build network, loss and optimizer. The initial weights depend on ``network`` and ``seed`` (device 'meta' has none).

    ``options``: those of the algorithm or of the shipped implementation; those of the loss; ``optimizer`` and its own
    options (bench/optimizers.py). Raises UserError with the reason if the combination does not exist (see ``support``).
    """
    if type(seed) is not int:
        raise UserError(f"seed = {seed!r}: use a whole number")
    check_device(device)
    spec = zoo.spec(network)
    supported = support(network, algorithm, backend, options=options)
    if not supported:
        raise UserError(f"{algorithm} on backend {backend}, network {network}: {supported.reason}")
    chosen = recipe(algorithm, backend, options)
    shipped = _shipped(backend)
    net: nn.Module
    train_step: TrainStep
    if shipped is not None:
        net, train_step = shipped.shipped(spec, algorithm, device, chosen.options)
    else:
        rule = algorithms.load(algorithm)
        built = build(spec, cast("Backend", backends.load(backend)), device)
        net = cast(nn.Module, rule.prepare(built, chosen.options))
        train_step = rule.train_step
    if device != "meta":
        cast("Trainable", net).reset_parameters(seed_of("weights", network, seed))
    net.train()
    kernel = backends.kernel_of(backends.load(backend), spec)
    return TrainingStep(net, chosen.optimizer.of(net.parameters()), train_step, kernel, chosen)


def check_device(device: str) -> None:
    """Raise UserError unless this suite can train on ``device`` here."""
    try:
        kind = torch.device(device).type
    except (RuntimeError, TypeError) as error:
        raise UserError(f"device = {device!r}: use {DEVICES}") from error
    if kind not in ("cpu", "cuda", "meta"):
        raise UserError(f"device = {device!r}: use {DEVICES}")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"device = {device!r}: PyTorch finds no GPU here; use 'cpu', or 'meta' for shapes alone")
