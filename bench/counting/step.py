"""Memory, multiply-accumulates and traffic of one training step, counted exactly on any device.

On tensors that have a shape but no storage (device 'meta') the step runs at the paper's size without data, weights or a GPU. On
real tensors the same code gives the same numbers to the byte (tests/counts). The optimizer's state exists before the step, as in
steady training.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.hooks import RemovableHandle

from bench.counting.macs import Macs
from bench.counting.memory import LiveBytes, Peak
from bench.counting.tape import tensors, watching
from bench.counting.traffic import Traffic
from bench.errors import UserError
from bench.training_step import TrainingStep, check_device


@dataclass(frozen=True)
class Cost:
    memory: Peak
    macs: Macs
    traffic: Traffic


def batch_for(step: TrainingStep, T: int, batch: int, device: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return an input sequence [T, B, ...] and a target [B]. A static image is one tensor, expanded over T without a copy.

    The values are random, of the type of the weights. Raises UserError for an argument that is no such number or device.
    """
    for name, value, what in (("T", T, "time steps"), ("batch", batch, "samples")):
        if type(value) is not int or value < 1:
            raise UserError(f"{name} = {value!r}: use a whole number of {what} >= 1")
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise UserError(f"seed = {seed!r}: use a whole number >= 0 and < 2**63")
    check_device(device)
    spec, dtype = step.trainable.spec, next(step.net.parameters()).dtype
    frames = T if spec.encoding == "frames" else 1
    if device == "meta":
        x = torch.empty(frames, batch, *spec.input, dtype=dtype, device="meta")
        return x.expand(T, *x.shape[1:]), torch.empty(batch, dtype=torch.long, device="meta")
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(frames, batch, *spec.input, generator=generator).to(device, dtype)
    target = torch.randint(spec.classes, (batch,), generator=generator).to(device)
    return x.expand(T, *x.shape[1:]), target


def cost_of(step: TrainingStep, x: Tensor, target: Tensor) -> Cost:
    """Count one training step on x [T, B, ...] and target [B]."""
    net = step.net
    parameters = list(net.parameters())
    make_optimizer_state(step.optimizer)
    live, macs, traffic = LiveBytes(), Macs(parameters), Traffic(parameters)
    live.mark([*parameters, *net.buffers()], "parameters")
    live.mark([x, target], "inputs")
    live.mark(tensors([list(state.values()) for state in step.optimizer.state.values()]), "optimizer state")

    hooks: list[RemovableHandle] = [
        parameter.register_post_accumulate_grad_hook(lambda p: live.mark(_grad(p), "gradients")) for parameter in parameters
    ]
    hooks.append(net.register_forward_hook(lambda _, __, out: live.mark(step.trainable.carried(out), "state")))
    for module in step.trainable.spiking():
        hooks.append(module.register_forward_hook(lambda _, __, out: macs.mark_spikes(list(tensors(out))[:1])))
    try:
        with watching(live, macs, traffic):
            step.run(x, target, _Watching(live, macs))
    finally:
        for hook in hooks:
            hook.remove()
    return Cost(live.peak(), macs, traffic)


@dataclass(frozen=True)
class _Watching:
    """Passes on what the step tells to the observers."""

    live: LiveBytes
    macs: Macs

    @contextmanager
    def recomputing(self) -> Iterator[None]:
        with self.macs.recomputing():
            yield

    def saves(self, tensors: Iterable[Tensor]) -> None:
        self.live.mark(tensors, "saved for backward")


def _grad(parameter: Tensor) -> Iterable[Tensor]:
    return [] if parameter.grad is None else [parameter.grad]


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
