"""Truncated BPTT (Williams and Peng 1990): windows of K steps, BPTT inside a window, nothing across its edge.

    state at a window's edge is detached;  dL/dW = sum over windows of the window's own BPTT gradient

K = T is BPTT, K = 1 is SLTT. ``update``: once, after the sequence ("end"), or after every window ("window").
Memory: the graph of K steps.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.networks.build import Network
from bench.networks.modules import map_state
from bench.spec import YES, NetworkSpec, Support, UserError, choose

title = "truncated BPTT"
options: dict[str, object] = {"K": 2, "update": "end"}
in_windows = True


def supports(spec: NetworkSpec) -> Support:
    return YES


def prepare(net: Network, K: int = 2, update: str = "end") -> Network:
    choose("update", update, ("end", "window"))
    return net


def train_step(
    net: Network, x: Tensor, loss: Callable[[Tensor], Tensor], apply: Callable[[], None], K: int = 2, update: str = "end"
) -> Tensor:
    if not 1 <= K <= x.shape[0]:
        raise UserError(f"tbptt: K = {K} of T = {x.shape[0]} steps; use 1 <= K <= T")
    state, steps_left = net.initial_state(x.shape[1]), x.shape[0]
    total: Tensor | None = None
    for window in x.split(K):
        steps_left -= window.shape[0]
        outs, state = net.window(window, state) if steps_left else (net.last_window(window, state), None)
        loss(outs).backward()
        state = map_state(torch.Tensor.detach, state)
        total = outs.detach().sum(0) if total is None else total + outs.detach().sum(0)
        if update == "window":
            apply()
    assert total is not None, "a sequence of no steps"
    if update == "end":
        apply()
    return total
