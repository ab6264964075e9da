"""Truncated BPTT (Williams and Peng 1990): BPTT inside windows of K steps, no gradient between windows.

    the state is detached between windows;  dL/dW = sum over windows of the BPTT gradient of the window's loss

K = T is BPTT, K = 1 is SLTT. ``update``: once after the sequence ("end"), or after every window ("window").
Memory: the graph of K steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.algorithms.context import StepContext
from bench.errors import YES, Support
from bench.nets.build import Network
from bench.nets.layers import map_state
from bench.options import Declared, one_of, whole, within
from bench.spec import NetworkSpec


@dataclass(frozen=True)
class Options(Declared):
    K: int = whole(2, least=1, meaning="time steps of a window")
    update: str = one_of("end", ("end", "window"), meaning="when weights are updated: after the sequence, or after every window")

    def suits(self, spec: NetworkSpec, T: int) -> None:
        within(self.K, T, "tbptt")

    @property
    def updates_once(self) -> bool:
        return self.update == "end"


in_windows = True


def supports(spec: NetworkSpec) -> Support:
    return YES


def prepare(net: Network, options: Options) -> Network:
    return net


def train_step(net: Network, x: Tensor, context: StepContext, options: Options) -> Tensor:
    within(options.K, x.shape[0], "tbptt")
    state, steps_left = net.initial_state(x.shape[1]), x.shape[0]
    total: Tensor | None = None
    for window in x.split(options.K):
        steps_left -= window.shape[0]
        outs, state = net.window(window, state) if steps_left else (net.last_window(window, state), None)
        context.loss(outs).backward()
        state = map_state(torch.Tensor.detach, state)
        total = outs.detach().sum(0) if total is None else total + outs.detach().sum(0)
        if options.update == "window":
            context.update()
    assert total is not None, "a sequence of no steps"
    if options.update == "end":
        context.update()
    return total
