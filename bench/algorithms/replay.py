"""BPTT's gradient from one-bit spikes: membrane potentials are not kept but recomputed, backwards in time (ours).

    first pass:                 windows of K steps without a graph, the spikes of all neurons kept at one bit each;
                                the last window with its graph, and its backward pass
    second pass, from the end:  spikes known, every layer's input current x[t] follows from the layer below, and

        u[t] = v[t] + V_th s[t],   v[t-1] = (u[t] - x[t]) / decay;      then the window's share of BPTT

Bytes: T / 32 states and the graph of K steps, where checkpointing needs sqrt(2 T A S) or more. The forward runs
(2T - K) / T times.
Exact but for rounding: an error in v grows by 1 / decay a step back. So the state itself is kept every so many steps that
an error grows at most GROWTH times (decay 0.5: every 4 steps; 0.97: every 91; 1: never).
Soft resets only, chains and residual blocks: a hard reset forgets u, a loop's state is more than membrane potentials.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from bench.algorithms.segments import leaves, second_pass, shallow
from bench.kernels.bits import pack
from bench.kernels.reversed_lif import Backwards, reversed_lif
from bench.networks.build import Network
from bench.networks.modules import State
from bench.options import Declared, whole, within
from bench.spec import YES, Loop, NetworkSpec, NeuronSpec, Spike, Support, every_layer, no

title = "one-bit replay"


@dataclass(frozen=True)
class Options(Declared):
    K: int = whole(1, "time steps of a window", least=1)

    def suits(self, spec: NetworkSpec, T: int) -> None:
        within(self.K, T, "replay")


in_windows = True
only_on = "native"  # its neurons' kernel is what runs backwards
GROWTH = 16.0


def supports(spec: NetworkSpec) -> Support:
    for layer in every_layer(spec.layers):
        if isinstance(layer, Loop):
            return no("one-bit replay runs time backwards, which a loop over time steps cannot")
        if isinstance(layer, Spike) and layer.neuron.reset != "soft":
            return no("one-bit replay undoes the reset, and a hard reset cannot be undone: use checkpointed BPTT")
        if isinstance(layer, Spike) and layer.neuron.decay <= 0:
            return no("one-bit replay divides by the decay, which is 0 here: use SLTT, which is exact then")
    return YES


def prepare(net: Network, options: Options) -> Network:
    return net


def steps_back(net: Network) -> float:
    """Steps after which a rounding error has grown ``GROWTH`` times, in the layer where it grows fastest; 1 at least."""
    decay = min(layer.spec.decay for layer in _layers_of(net))
    return math.inf if decay >= 1 else max(1, math.floor(math.log(GROWTH) / -math.log(decay)))


def train_step(net: Network, x: Tensor, loss: Callable[[Tensor], Tensor], update: Callable[[], None], options: Options) -> Tensor:
    K = options.K
    within(K, x.shape[0], "replay")
    reach = steps_back(net)
    parts = windows(x.shape[0], K, reach)
    kept = set(anchored(parts, reach))
    state = net.initial_state(x.shape[1])
    anchors: dict[int, State] = {}  # by the window that they come after; that after the last one below is at hand anyway
    total = x.new_zeros(())
    with torch.no_grad(), recording(net) as spikes:
        for i, (begin, end) in enumerate(parts[:-1]):
            out, state = net.window(x[begin:end], state)
            total = total + out.sum(0)
            if i + 1 in kept:
                anchors[i] = shallow(state)
    state = leaves(state)
    out = net.window(x[parts[-1][0] :], shallow(state))[0]
    loss(out).backward()
    total = total + out.detach().sum(0)
    with running_backwards(net, spikes), second_pass(net):
        for i in reversed(range(len(parts) - 1)):
            state = anchors.pop(i, state)
            out, state = net.window(x[slice(*parts[i])], state)
            loss(out).backward()
    update()
    return total


def windows(steps: int, K: int, within: float) -> list[tuple[int, int]]:
    """Half-open ranges that cover ``steps``: the last of K steps, those before it of K or of ``within`` where that is less."""
    short = int(min(K, within))
    cuts = [0, *range((steps - K) % short or short, steps - K + 1, short), steps] if steps > K else [0, steps]
    return list(pairwise(cuts))


def anchored(parts: list[tuple[int, int]], within: float) -> list[int]:
    """Windows, all but the last, whose start state is kept so that no more than ``within`` steps are undone in a row."""
    kept, undone_from = [], parts[-1][0]
    for i in reversed(range(1, len(parts) - 1)):
        if undone_from - parts[i - 1][0] > within:
            kept.append(i)
            undone_from = parts[i][0]
    return kept


def _layers_of(net: Network) -> list[Any]:
    """Layers of neurons: their ``neurons`` are the backend's, which know nothing of dropout."""
    return net.neurons()


Spikes = list[list[Tensor]]  # by neuron layer, window by window, packed


@contextmanager
def recording(net: Network) -> Iterator[Spikes]:
    """Keep what every neuron layer fires, one bit a spike, before dropout."""
    spikes: Spikes = [[] for _ in net.neurons()]

    def note(kept: list[Tensor]) -> Any:
        return lambda module, _, output: kept.append(pack(output[0]))

    def newest(*_: Any) -> None:
        net.kept = [kept[-1] for kept in spikes]

    hooks = [layer.neurons.register_forward_hook(note(kept)) for layer, kept in zip(_layers_of(net), spikes, strict=True)]
    hooks.append(net.register_forward_hook(newest, prepend=True))
    try:
        yield spikes
    finally:
        net.kept = []
        for hook in hooks:
            hook.remove()


class _Backwards(nn.Module):
    """Neurons that run from the end to the beginning: the state they are given is the one after the window."""

    def __init__(self, spec: NeuronSpec, spikes: list[Tensor]) -> None:
        super().__init__()
        self.spec, self.spikes, self.carry = spec, spikes, Backwards()

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        if self.carry.g_v is None:
            self.carry.g_v = v.grad  # the last window, which was not run backwards, left it there
        return reversed_lif(x, v.detach(), self.spikes.pop(), self.spec, self.carry)


@contextmanager
def running_backwards(net: Network, spikes: Spikes) -> Iterator[None]:
    """Inside, ``net.window`` takes the state after a window and returns the one before it; windows come in reverse."""
    layers = _layers_of(net)
    forwards = [layer.neurons for layer in layers]
    for layer, kept in zip(layers, spikes, strict=True):
        layer.neurons = _Backwards(layer.spec, kept)
    try:
        yield
    finally:
        for layer, neurons in zip(layers, forwards, strict=True):
            layer.neurons = neurons
