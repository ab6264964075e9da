"""A training step of a user's module by an algorithm of this suite, chosen by one word.

The module, its weights and its optimizer stay the user's. Algorithms that see the sequence in parts (all but BPTT) need a loss
that is a sum, or a mean, over time steps of a loss of each step; whether it is, is tried on numbers at the first call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from bench import algorithms
from bench.algorithms.context import StepContext, Unwatched, Watcher
from bench.errors import UserError, choose
from bench.lift.recognition.flow import Flow, flow_of
from bench.lift.recognition.recognise import Recognised, recognise
from bench.lift.recognition.trial import Trials
from bench.lift.recognition.twin import Meta, twin
from bench.lift.running.layers import Recompute, depth_of, parsed
from bench.lift.running.prepare import Given, Prepared, prepared
from bench.lift.running.update import Update
from bench.options import Declared
from bench.parallel.spikes import with_spikes_of_the_batch
from bench.processes import processes_of
from bench.registry import ALGORITHMS

Loss = Callable[[Tensor, Any], Tensor]  # outputs [T, B, ...] and target -> scalar
Share = Literal["sum", "mean"]
LIFTED = tuple(sorted(ALGORITHMS, key=lambda name: not ALGORITHMS[name].exact))  # in the order of tables: exact ones first
_WHOLE_SEQUENCE = ("bptt", "local")  # they run all time steps in one window
IN_DEPTH = ("bptt", "checkpointed")  # of which layers can be computed again in the backward pass
_IN_BLOCKS = ("local", "ttl-bptt")
_WRAPPED = ("DistributedDataParallel", "FullyShardedDataParallel", "DataParallel", "OptimizedModule")


def instantaneous(outputs: Tensor, target: Tensor) -> Tensor:
    """Return the mean over time steps of each step's cross entropy: outputs [T, B, C, ...], target [B, ...].

    Of outputs that the module has averaged over time itself, [B, C, ...], it is the cross entropy.
    """
    if outputs.dim() == target.dim() + 1:
        return F.cross_entropy(outputs, target)
    steps = outputs.shape[0]
    return F.cross_entropy(outputs.flatten(0, 1), target.repeat(steps, *[1] * (target.dim() - 1)))


@dataclass
class LiftedStep:
    """``step(x, target)`` trains the module on one batch x [T, B, ...] and returns the loss of its own output.

    Without an optimizer it adds the gradients to ``.grad``; with one, it also updates the weights and clears them. ``outputs``
    are those of the last call, summed over time [B, C]. ``classifiers``: auxiliary ones of local training, after the first call.
    """

    module: nn.Module
    algorithm: str
    options: Declared
    loss: Loss
    update: Update
    ends: Sequence[str] | None = None  # names of the last parts of blocks
    layers: Sequence[Recompute] | None = None  # computed again in the backward pass
    outputs: Tensor | None = None
    share: Share | None = None  # how the loss is made of those of time steps, once known
    _prepared: dict[tuple[int, ...], Prepared] = field(default_factory=dict)
    _recognised: dict[tuple[int, ...], Recognised] = field(default_factory=dict)
    _flows: dict[tuple[int, ...], Flow] = field(default_factory=dict)
    _modes: tuple[bool, ...] = ()  # which modules were in training when their links were looked for

    def __call__(self, x: Tensor, target: object, watcher: Watcher | None = None) -> Tensor:
        if not torch.is_grad_enabled():
            raise UserError("training under torch.no_grad(): gradients are disabled here; call it outside of no_grad")
        first = not self._prepared
        ready = self.prepared(x)
        self.update.begin(x.shape[1], first)
        share = self._shares_of(self._recognised[tuple(x.shape[2:])], x, target)
        total: Tensor | None = None
        of_parts = count(1)

        def loss(outs: Tensor) -> Tensor:
            nonlocal total
            value = share(outs)
            if next(of_parts) % ready.blocks == 0:  # that of the module's own output
                total = value.detach() if total is None else total + value.detach()
            return value if self.update.scaler is None else self.update.scaler.scale(value)

        rule = algorithms.load(self.rule)
        context = StepContext(loss, self.update, watcher or Unwatched())
        with self._in_depth(tuple(x.shape[2:]), context.watcher):
            net = with_spikes_of_the_batch(ready.net, self.rule, self.update.processes)
            self.outputs = rule.train_step(net, ready.entry(x), context, self.options)
        assert total is not None, "a sequence of no steps"
        return total

    @property
    def rule(self) -> str:
        """The algorithm that runs: a sequence in one segment is run as a whole, which any loss and any module allow."""
        one = self.algorithm == "checkpointed" and self.options.as_dict()["segments"] == 1
        return "bptt" if one else self.algorithm

    def run_in_depth(self, flow: Flow | None, layers: Sequence[str] | None) -> None:
        """Compute these groups of layers again from now on; ``flow``: how the layers are linked, if that is known."""
        self.layers = None if layers is None else tuple(parsed(group) for group in layers)
        self._flows = {frame: flow for frame in self._prepared if flow is not None}

    def _in_depth(self, frame: tuple[int, ...], watcher: Watcher) -> AbstractContextManager[None]:
        if self.layers is None:
            return nullcontext()
        depth = depth_of(self.module, self._flows[frame], self.layers, watcher)
        return depth.applied(forgetting=self.rule == "bptt" and self._recognised[frame].time == "multi-step")

    @property
    def classifiers(self) -> nn.Module | None:
        return self.update.classifiers

    def lifted(self, x: Tensor) -> Any:
        """Return the module with explicit state, for sequences like x [T, B, ...]."""
        return self.prepared(x).net

    def prepared(self, x: Tensor) -> Prepared:
        """Return the module ready for the algorithm, for sequences like x [T, B, ...]."""
        frame = tuple(x.shape[2:])
        changed = self.layers is not None and self._modes != self._training_modes()  # batch norm in evaluation ties no samples
        if frame not in self._prepared or changed:
            if self._prepared and self.algorithm in _IN_BLOCKS:
                former = next(iter(self._prepared))
                raise UserError(f"frames of shape {frame} after {former}: the classifiers are made for one shape; use a new step")
            with torch.random.fork_rng(devices=[]):  # trials draw dropout masks too
                self._prepare(frame, x.shape[0])
        return self._prepared[frame]

    def _training_modes(self) -> tuple[bool, ...]:
        return tuple(part.training for part in self.module.modules())

    def _prepare(self, frame: tuple[int, ...], T: int) -> None:
        kind = Meta()
        copy = twin(self.module, kind)
        recognised = recognise(copy, frame, T, kind, "frames")
        require(self.rule, recognised)
        trials = Trials(copy, frame, T, kind)
        given = Given(self.module, trials, recognised, frame, self.options, self.ends)
        with torch.enable_grad():
            ready = prepared(self.rule, given)
        self.update.also(ready.classifiers)
        if self.layers is not None:
            self._flows[frame] = flow_of(recognised, trials)
            depth_of(copy, self._flows[frame], self.layers, Unwatched())  # raises for groups that there are not
        self._prepared[frame], self._recognised[frame], self._modes = ready, recognised, self._training_modes()

    def _shares_of(self, recognised: Recognised, x: Tensor, target: object) -> Callable[[Tensor], Tensor]:
        if self.rule in _WHOLE_SEQUENCE:
            whole = self.loss
            return lambda outs: whole(outs[0] if recognised.averages else outs, target)
        if self.share is None:
            self.share = share_of(self.loss, recognised.output, x, target)
        steps, mean = x.shape[0], self.share == "mean"
        return lambda outs: self.loss(outs, target) * (outs.shape[0] / steps if mean else 1.0)


def training_step(
    module: nn.Module,
    algorithm: str,
    *,
    loss: Loss = instantaneous,
    optimizer: torch.optim.Optimizer | None = None,
    clip: float | None = None,
    scaler: GradScaler | None = None,
    blocks: Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    process_group: dist.ProcessGroup | None = None,
    **options: object,
) -> LiftedStep:
    """Return a training step of ``module`` by ``algorithm``, to be called with x [T, B, ...] and a target.

    ``loss(outputs[T, B, C], target)``: BPTT and local training take any; the others one that is a sum or a mean over time steps.
    ``optimizer``: of the module's parameters; without one, gradients are added to ``.grad``. ``clip``: largest norm of the
    gradient. ``blocks``: names of the last parts of the blocks of local training and TTL-BPTT, in the place of their size b.
    ``layers``: groups of layers that bptt and checkpointed compute again in the backward pass (bench/lift/running/layers.py).
    ``process_group``: processes that train copies of the module, each on its own samples (bench/lift/running/update.py).
    ``options``: those of the algorithm. Raises UserError for what does not exist or does not apply, with the reason.
    """
    if not isinstance(module, nn.Module):
        raise UserError(f"{module!r} is no module: give a torch.nn.Module")
    require_uncompiled(module)
    choose("algorithm", algorithm, algorithms.names())
    chosen = algorithms.load(algorithm).Options.named(algorithm, options)
    if blocks is not None and algorithm not in _IN_BLOCKS:
        raise UserError(f"{algorithm} has no blocks: leave out blocks, or use {' or '.join(_IN_BLOCKS)}")
    if blocks is not None and "b" in options:
        raise UserError(f"b = {options['b']} and blocks, which both say where blocks end: give one of them")
    if optimizer is None and (clip is not None or scaler is not None):
        raise UserError("clip and scaler belong to an update of the weights: give the optimizer too")
    if optimizer is None and not chosen.updates_once:
        raise UserError(f"{algorithm} with these options changes the weights within a sequence: give the optimizer")
    if optimizer is None and process_group is not None:
        raise UserError("process_group: gradients are averaged over processes where weights are updated; give the optimizer")
    if algorithm == "skipper" and chosen.as_dict()["skipped"] != "frozen":
        raise UserError("skipper: skipped = 'leak' needs neurons whose decay is known; use skipped = 'frozen'")
    if algorithm in ("sltt", "ottt-a") and chosen.as_dict()["K"] != 1:
        raise UserError(f"{algorithm}: these neurons pass the gradient through time inside a window of K > 1 steps; use K = 1")
    if layers is not None and algorithm not in IN_DEPTH:
        raise UserError(f"layers = {layers!r} with {algorithm}: layers are computed again under {' and '.join(IN_DEPTH)}")
    groups = None if layers is None else tuple(parsed(group) for group in layers)
    update = Update(module, optimizer, clip, scaler, processes=processes_of(process_group))
    return LiftedStep(module, algorithm, chosen, loss, update, blocks, groups)


def require_uncompiled(module: nn.Module) -> None:
    """Raise UserError if the module, or a part of it, runs as one call whose inside is not seen."""
    for path, part in module.named_modules():
        wrapped = type(part).__name__ in _WRAPPED
        if wrapped and not path:
            raise UserError(
                f"the module is wrapped in {type(part).__name__}, which runs it as one call: give the module inside it"
                + (" and process_group = torch.distributed.group.WORLD" if "Data" in type(part).__name__ else "")
            )
        if wrapped or part._compiled_call_impl is not None or isinstance(part, torch.jit.ScriptModule):
            raise UserError(
                f"{path or 'the module'} is compiled and runs as one call: give the module as it was before compilation"
            )


def require(algorithm: str, found: Recognised) -> None:
    """Raise UserError unless the algorithm applies to a module that was so recognised."""
    name = found.module
    if found.takes == "frame" and found.own_steps is not None:
        raise UserError(
            f"{name} repeats an image by {found.own_steps} time steps itself: let forward take a sequence [T, B, ...]"
        )
    if algorithm == "bptt":
        return
    if found.time == "own loop":
        raise UserError(
            f"{name}.forward loops over time itself, and this algorithm needs single time steps. Take the loop out: let forward "
            "take one frame x [B, ...], return the output of this step, and keep the state in the neurons (SpikingJelly's "
            "step_mode 's', snnTorch's init_hidden = True) or take it as an argument, forward(x, state) -> (output, state)"
        )
    if found.averages:
        raise UserError(
            f"{name}.forward averages over time, and this algorithm needs the output of every time step: return [T, B, ...] and "
            "average in the loss, or use bptt"
        )
    if algorithm in _WHOLE_SEQUENCE:
        return
    for path, reason in found.over_time.items():
        raise UserError(
            f"{name}.{path}: {reason}, so that parts of a sequence give another result, and this algorithm runs it in parts: use "
            "single-step mode (functional.set_step_mode(net, 's')), a layer that treats time steps alone, or bptt"
        )
    if found.other_state:
        raise UserError(
            f"{name}.{found.other_state[0]} changes from call to call and is no known state, so this algorithm cannot take "
            "it out: register it (SpikingJelly's register_memory), or pass it on, forward(x, state) -> (output, state)"
        )
    if algorithm == "skipper" and not found.neurons:
        raise UserError(f"skipper chooses time steps by their spikes, and {name} has no neurons that are known; use checkpointed")


def share_of(loss: Loss, output: Iterable[int], x: Tensor, target: object) -> Share:
    """Return whether a loss is the sum or the mean over time steps of a loss of each step, tried on random outputs.

    Raises UserError if it is neither.
    """
    steps, batch = 5, x.shape[1]
    generator = torch.Generator().manual_seed(0)
    shape = (steps, batch, *tuple(output)[2:])
    outs = torch.randn(shape, generator=generator, dtype=torch.float64).to(x.device)
    with torch.no_grad():
        try:
            whole = loss(outs, target)
            parts = [loss(outs[t : t + 1], target) for t in range(steps)]
            window = loss(outs[:3], target)
        except Exception as error:
            raise UserError(f"loss fails for a part of the time steps ({type(error).__name__}: {error}); {_OFFER}") from error
    for value in (whole, window, *parts):
        if not isinstance(value, Tensor) or value.dim():
            raise UserError("loss returns no single number: let loss(outputs[T, B, C], target) return a scalar, e.g. loss.mean()")
    ones = torch.stack(parts)
    if torch.allclose(whole, ones.sum(), rtol=1e-6) and torch.allclose(window, ones[:3].sum(), rtol=1e-6):
        return "sum"
    if torch.allclose(whole, ones.mean(), rtol=1e-6) and torch.allclose(window, ones[:3].mean(), rtol=1e-6):
        return "mean"
    raise UserError(f"loss is neither a sum nor a mean over time steps of a loss of each step; {_OFFER}")


_OFFER = (
    "this algorithm sees the sequence in parts. The cross entropy of the mean output is no such sum; the mean of each step's "
    "cross entropy is (leave loss out), or use bptt, which takes any loss"
)
