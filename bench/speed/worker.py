"""The process of one row: ``python -m bench.speed.worker '{"network": ..., "row": [algorithm, backend, {options}], ...}'``.

It prints "ready KERNEL"; then, for every input line, it runs one training step and prints its seconds, until its input ends.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.kernels.compiled import keep_freed_memory
from bench.probes.cost import batch_for
from bench.speed.rows import FLOOR
from bench.training_step import training_step


def main() -> None:
    asked = json.loads(sys.argv[1])
    algorithm, backend, options = asked["row"]
    device = asked["device"]
    network, T, batch = asked["network"], asked["T"], asked["batch"]
    if algorithm == FLOOR:
        run, kernel = convolutions_alone(network, T, batch, device, torch.channels_last if "last" in backend else None), "torch"
    else:
        step = training_step(network, algorithm, backend, device=device, **options)
        x, target = batch_for(step, T, batch, device)
        run, kernel = (lambda: step.run(x, target)), step.kernel
    print("ready", kernel, flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        run()
        if device == "cuda":
            torch.cuda.synchronize()
        print(time.perf_counter() - began, flush=True)


def convolutions_alone(network: str, T: int, batch: int, device: str, layout: Any) -> Callable[[], Any]:
    """Return a function that runs the minimum of a step: the product of each synapse with its input, and its two gradients.

    Time is folded into the batch.
    """
    if device == "cpu":
        keep_freed_memory()
    step = training_step(network, "bptt", "native", device=device)
    net: Any = step.net
    jobs: list[Callable[[], None]] = []

    def prepare(synapse: Any, args: tuple[Tensor, ...], out: tuple[Tensor, Any]) -> None:
        x, y, first = args[0].flatten(0, 1), out[0].flatten(0, 1), not jobs
        weight = synapse.effective_weight().detach().clone()
        if layout is not None and x.dim() == 4:
            x, y, weight = (tensor.contiguous(memory_format=layout) for tensor in (x, y, weight))
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


if __name__ == "__main__":
    main()
