"""Cost: memory, multiply-accumulates and traffic of one training step, counted exactly without data, weights or a GPU.

The step runs on tensors that have a shape but no storage (device 'meta'), at the paper's size. On real tensors the same code
gives the same numbers to the byte (tests/counts). The optimizer's state exists before the step, as in steady training.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.probes.macs import Macs
from bench.probes.memory import LiveBytes, Peak
from bench.probes.tape import tensors, watching
from bench.probes.traffic import Traffic
from bench.spec import Case, Measurement
from bench.training_step import TrainingStep, training_step

VERSION = 1


@dataclass(frozen=True)
class Cost:
    memory: Peak
    macs: Macs
    traffic: Traffic


def measure(case: Case) -> list[Measurement]:
    """Return one Measurement each for peak live bytes, dense MACs, multiplications and traffic in bytes."""
    step = training_step(case.network, case.algorithm, case.backend, device="meta", **case.settings)
    cost = cost_of(step, *batch_for(step, case.T, case.batch, "meta"))
    peak, macs, traffic = cost.memory, cost.macs, cost.traffic.conventions()
    return [
        Measurement("peak_live_bytes", peak.total, "B", VERSION, {**peak.by_category, "operator": peak.operator}),
        Measurement("step_macs", sum(macs.dense.values()), "MAC", VERSION, macs.dense),
        Measurement("step_multiplications", sum(macs.multiplications.values()), "MAC", VERSION, macs.multiplications),
        Measurement("traffic_bytes", traffic["compulsory"], "B", VERSION, traffic),
    ]  # fmt: skip


def batch_for(step: TrainingStep, T: int, batch: int, device: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Return an input sequence [T, B, ...] and a target [B]. A static image is one tensor, expanded over T without a copy."""
    spec: Any = step.net.spec
    frames = T if spec.encoding == "frames" else 1
    if device == "meta":
        x = torch.empty(frames, batch, *spec.input, device="meta")
        return x.expand(T, *x.shape[1:]), torch.empty(batch, dtype=torch.long, device="meta")
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(frames, batch, *spec.input, generator=generator).to(device)
    target = torch.randint(spec.classes, (batch,), generator=generator).to(device)
    return x.expand(T, *x.shape[1:]), target


def cost_of(step: TrainingStep, x: Tensor, target: Tensor) -> Cost:
    """Count one training step on x [T, B, ...] and target [B]."""
    net = step.net
    parameters = list(net.parameters())
    _make_optimizer_state(step.optimizer)
    spec_net: Any = net
    live, traffic = LiveBytes(), Traffic(parameters)
    macs = Macs(parameters, again=lambda: getattr(net, "again", False))
    live.mark([*parameters, *net.buffers()], "parameters")
    live.mark([x, target], "inputs")
    live.mark(tensors([list(state.values()) for state in step.optimizer.state.values()]), "optimizer state")

    hooks: list[Any] = [
        parameter.register_post_accumulate_grad_hook(lambda p: live.mark(_grad(p), "gradients")) for parameter in parameters
    ]
    hooks.append(net.register_forward_hook(lambda _, __, out: live.mark(spec_net.carried(out), "state")))
    hooks.append(net.register_forward_hook(lambda *_: live.mark(getattr(net, "kept", ()), "saved for backward")))
    for module in spec_net.spiking():
        hooks.append(module.register_forward_hook(lambda _, __, out: macs.mark_spikes(list(tensors(out))[:1])))
    try:
        with watching(live, macs, traffic):
            step.run(x, target)
    finally:
        for hook in hooks:
            hook.remove()
    return Cost(live.peak(), macs, traffic)


def _grad(parameter: Tensor) -> Iterable[Tensor]:
    return [] if parameter.grad is None else [parameter.grad]


def _make_optimizer_state(optimizer: torch.optim.Optimizer) -> None:
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
