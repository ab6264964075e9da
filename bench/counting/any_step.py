"""Memory, multiply-accumulates and traffic of any training step, counted while it runs once.

The step is a callable; what it holds before it starts (parameters, buffers, optimizer state, inputs, state of neurons) is
marked by category, and hooks on its modules mark what they carry to the next time step and what is binary. The tensors may be
real, fake, or on device 'meta'.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.algorithms.context import Watcher
from bench.counting.macs import Macs
from bench.counting.memory import LiveBytes, Peak
from bench.counting.tape import tensors, watching
from bench.counting.traffic import Traffic

Carried = Callable[[Any], Iterable[Tensor]]  # output of a module -> the tensors that are passed to the next time step


@dataclass(frozen=True)
class Cost:
    memory: Peak
    macs: Macs
    traffic: Traffic


def count(
    run: Callable[[Watcher], object],
    net: nn.Module,
    optimizer: torch.optim.Optimizer | None,
    inputs: Iterable[Tensor],
    *,
    carried: Iterable[tuple[nn.Module, Carried]] = (),
    spiking: Iterable[nn.Module] = (),
    passes_spikes: Iterable[nn.Module] = (),
    state: Callable[[], Iterable[Tensor]] = lambda: (),
) -> Cost:
    """Count one call of ``run``, which trains ``net``; it is given a watcher for what operators do not show.

    ``carried``: modules, and which tensors of their output are carried on; ``spiking``: modules whose first output is binary
    up to a constant factor; ``passes_spikes``: modules whose output is binary if their input is (dropout); ``state()``: tensors
    that modules hold from the step before, which a list would keep alive. The optimizer's state must exist, as in steady training
    (``make_optimizer_state``).
    """
    parameters = list(net.parameters())
    live, macs, traffic = LiveBytes(), Macs(parameters), Traffic(parameters)
    _mark_existing(live, net, state)
    live.mark(inputs, "inputs")
    if optimizer is not None:
        live.mark(tensors([list(kept.values()) for kept in optimizer.state.values()]), "optimizer state")

    def pass_on(module: nn.Module, given: tuple[Any, ...], out: Any) -> None:
        read = list(tensors(given))[:1]
        if read and macs.is_spikes(read[0]):
            macs.mark_spikes(list(tensors(out))[:1])

    with ExitStack() as hooks:
        for parameter in parameters:
            if parameter.requires_grad:
                _remove_at_end(hooks, parameter.register_post_accumulate_grad_hook(lambda p: live.mark(_grad(p), "gradients")))
        for module, of in carried:
            _remove_at_end(hooks, module.register_forward_hook(lambda _, __, out, of=of: live.mark(of(out), "state")))
        for module in spiking:
            _remove_at_end(hooks, module.register_forward_hook(lambda _, __, out: macs.mark_spikes(list(tensors(out))[:1])))
        for module in passes_spikes:
            _remove_at_end(hooks, module.register_forward_hook(pass_on))
        with watching(live, macs, traffic):
            run(_StepWatcher(live, macs))
    return Cost(live.peak(), macs, traffic)


def make_optimizer_state(optimizer: torch.optim.Optimizer) -> None:
    """Create the optimizer's buffers without changing weights: one update with zero gradients and learning rate 0."""
    groups = optimizer.param_groups
    rates = [group["lr"] for group in groups]
    for group in groups:
        group["lr"] = 0.0
        for parameter in group["params"]:
            parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for group, rate in zip(groups, rates, strict=True):
        group["lr"] = rate


def _mark_existing(live: LiveBytes, net: nn.Module, state: Callable[[], Iterable[Tensor]]) -> None:
    state_ids = {id(tensor) for tensor in state()}
    live.mark([*net.parameters(), *(buffer for buffer in net.buffers() if id(buffer) not in state_ids)], "parameters")
    live.mark(state(), "state")


@dataclass(frozen=True)
class _StepWatcher:
    """Passes on what the step reports to the observers."""

    live: LiveBytes
    macs: Macs

    @contextmanager
    def recomputing(self) -> Iterator[None]:
        with self.macs.recomputing():
            yield

    def saves(self, kept: Iterable[Tensor]) -> None:
        self.live.mark(kept, "saved for backward")


def _remove_at_end(hooks: ExitStack, handle: Any) -> None:
    hooks.callback(handle.remove)


def _grad(parameter: Tensor) -> Iterable[Tensor]:
    return [] if parameter.grad is None else [parameter.grad]
