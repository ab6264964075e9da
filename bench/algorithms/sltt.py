"""Spatial learning through time (Meng et al., ICCV 2023): BPTT without the gradient through time.

    dL/dW = sum_t g[t] * s_pre[t]^T,   g[t] = error at the membrane u[t], back-propagated through the layers at step t only

The graph of each step is freed before the next step: memory does not depend on T. ``K`` steps may run as one window, layer by
layer: the same gradient from fewer and larger operators, for K times the memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from bench.algorithms.context import StepContext
from bench.errors import YES, Support, no
from bench.nets.build import Network
from bench.nets.layers import holding_weights, map_state
from bench.options import Declared, whole, within
from bench.spec import Loop, NetworkSpec, every_layer


@dataclass(frozen=True)
class Options(Declared):
    K: int = whole(1, least=1, meaning="time steps computed as one window")

    def suits(self, spec: NetworkSpec, T: int) -> None:
        within(self.K, T, "sltt")


in_windows = False


def supports(spec: NetworkSpec) -> Support:
    return YES


def runs_on(backend: ModuleType, spec: NetworkSpec, options: Options) -> Support:
    """Return whether this backend can stop the gradient through time inside a window of K steps."""
    if options.K == 1:
        return YES
    if any(isinstance(layer, Loop) for layer in every_layer(spec.layers)):
        return no(f"K = {options.K}: a loop passes the gradient through time inside a window; use K = 1")
    if not all(hasattr(backend.neurons(neuron), "in_space") for neuron in (spec.neuron, *spec.neurons)):
        return no(f"K = {options.K}: these neurons pass the gradient through time; use K = 1, or a native backend")
    return YES


def prepare(net: Network, options: Options) -> Network:
    return in_space(net, options.K)


def train_step(net: Network, x: Tensor, context: StepContext, options: Options) -> Tensor:
    within(options.K, x.shape[0], "sltt")
    with holding_weights(net):
        total = train_in_windows(net, x, context.loss, options.K)
    context.update()
    return total


def in_space(net: Network, K: int) -> Network:
    """Stop the gradient through time inside windows of K steps; requires ``runs_on``."""
    if K > 1:
        for layer in net.neurons():
            neurons: Any = layer.neurons
            neurons.in_space()
    return net


def train_in_windows(
    net: Network, x: Tensor, loss: Callable[[Tensor], Tensor], K: int = 1, after_window: Callable[[], None] | None = None
) -> Tensor:
    """Back-propagate the loss of each window separately, with a detached state between windows; gradients add up in ``.grad``.

    x [T, B, ...] -> outputs summed over time [B, C], detached. ``after_window`` is called after each backward pass.
    """
    if not x.shape[0]:
        raise ValueError("x has no time steps: T = 0")
    state = net.initial_state(x.shape[1])
    total = x.new_zeros(())
    for begin in range(0, x.shape[0], K):
        out, state = net.window(x[begin : begin + K], state)
        loss(out).backward()
        state = map_state(torch.Tensor.detach, state)
        total = total + out.detach().sum(0)
        if after_window is not None:
            after_window()
    return total
