"""Spatial learning through time (Meng et al., ICCV 2023): BPTT with every path through time cut.

    dL/dW = sum_t g[t] * s_pre[t]^T,   g[t] = error at the membrane u[t], back-propagated through space at step t only

Each step's graph is freed before the next: memory does not depend on T.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.networks.build import Network
from bench.networks.modules import map_state
from bench.spec import YES, NetworkSpec, Support

title = "SLTT"
options: dict[str, object] = {}
in_windows = False


def supports(spec: NetworkSpec) -> Support:
    return YES


def prepare(net: Network) -> Network:
    return net


def train_step(net: Network, x: Tensor, loss: Callable[[Tensor], Tensor], update: Callable[[], None]) -> Tensor:
    total = step_by_step(net, x, loss)
    update()
    return total


def step_by_step(
    net: Network, x: Tensor, loss: Callable[[Tensor], Tensor], after_step: Callable[[], None] | None = None
) -> Tensor:
    """Back-propagate each step's loss on its own, with a detached state between steps; gradients add up in .grad."""
    state = net.initial_state(x.shape[1])
    total: Tensor | None = None
    for x_t in x:
        out, state = net.step(x_t, state)
        loss(out.unsqueeze(0)).backward()
        state = map_state(torch.Tensor.detach, state)
        total = out.detach() if total is None else total + out.detach()
        if after_step is not None:
            after_step()
    if total is None:
        raise ValueError("a sequence of no time steps has no gradient")
    return total
