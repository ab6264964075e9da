"""The convolutions alone: the minimum of a training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.counting.step import batch_for
from bench.kernels.compiled import keep_freed_memory
from bench.speed.rows import LAYOUTS
from bench.training_step import training_step

ORDERS = dict(zip(LAYOUTS, (None, torch.channels_last), strict=True))


def convolutions_alone(network: str, T: int, batch: int, device: str, layout: str) -> Callable[[], object]:
    """Return a function that runs the product of each synapse with its input, and its two gradients.

    Time is folded into the batch. ``layout`` of the tensors: one of ORDERS.
    """
    if device == "cpu":
        keep_freed_memory()
    step, order = training_step(network, "bptt", "native", device=device), ORDERS[layout]
    net: Any = step.net
    jobs: list[Callable[[], None]] = []

    def prepare(synapse: Any, args: tuple[Tensor, ...], out: tuple[Tensor, Any]) -> None:
        x, y, first = args[0].flatten(0, 1), out[0].flatten(0, 1), not jobs
        weight = synapse.effective_weight().detach().clone()
        if order is not None and x.dim() == 4:
            x, y, weight = (tensor.contiguous(memory_format=order) for tensor in (x, y, weight))
        x, g = x.detach().clone().requires_grad_(not first), torch.randn_like(y)
        weight.requires_grad_()
        parameters = [weight, *([synapse.bias] if synapse.bias is not None else []), *([] if first else [x])]
        jobs.append(lambda: (None, torch.autograd.grad(synapse.transmit(x, weight), parameters, g))[0])

    hooks = [synapse.register_forward_hook(prepare) for synapse in net.synapses().values()]
    with torch.no_grad():
        net.window(batch_for(step, T, batch, device)[0], net.initial_state(batch))
    for hook in hooks:
        hook.remove()

    def run() -> None:
        for job in jobs:
            job()

    return run
