"""Memory, multiply-accumulates and traffic of one training step, counted exactly on any device.

On tensors that have a shape but no storage (device 'meta') the step runs at the paper's size without data, weights or a GPU. On
real tensors the same code gives the same numbers to the byte (tests/counts). The optimizer's state exists before the step, as in
steady training.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.counting.any_step import Cost, count, make_optimizer_state
from bench.errors import UserError
from bench.training_step import TrainingStep, check_device


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
    make_optimizer_state(step.optimizer)
    return count(
        lambda watcher: step.run(x, target, watcher),
        step.net,
        step.optimizer,
        [x, target],
        carried=[(step.net, step.trainable.carried)],
        spiking=step.trainable.spiking(),
    )
