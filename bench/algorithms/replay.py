"""BPTT's gradient from one-bit spikes: membrane potentials are recomputed backwards in time instead of saved (ours).

    first pass:                 windows of K steps without a graph; the spikes of all neurons are saved at one bit each;
                                the last window with its graph, and its backward pass
    second pass, from the end:  from the saved spikes, the input current x[t] of every layer follows from the layer below;
        u[t] = v[t] + V_th s[t],   v[t-1] = (u[t] - x[t]) / decay;      then the window's part of BPTT

Memory: T / 32 states and the graph of K steps (checkpointing: sqrt(2 T A S) or more). The forward work is (2T - K) / T times
that of BPTT.

Exact up to rounding: going back one step multiplies an error in v by 1 / decay. Therefore the state is also saved at intervals
over which an error grows at most GROWTH times (decay 0.5: every 4 steps; 0.97: every 91; 1: never).
Requires soft resets, and chains or residual blocks: after a hard reset u cannot be recovered, and the state of a loop is more
than membrane potentials.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from bench.algorithms.context import StepContext
from bench.algorithms.segments import second_pass
from bench.errors import YES, Support, no
from bench.kernels.bits import pack
from bench.kernels.reversed_lif import CarriedGradient, reversed_lif
from bench.nets.build import Network
from bench.nets.layers import State, leaves, shallow
from bench.options import Declared, whole, within
from bench.spec import Loop, NetworkSpec, NeuronSpec, every_layer, lif_of


@dataclass(frozen=True)
class Options(Declared):
    K: int = whole(1, least=1, meaning="time steps of a window")

    def suits(self, spec: NetworkSpec, T: int) -> None:
        within(self.K, T, "replay")


in_windows = True
only_on = "native"  # uses the kernel of its neurons that runs backwards in time
GROWTH = 16.0


def supports(spec: NetworkSpec) -> Support:
    other = spec.beyond_lif
    if other is not None:
        return no(f"one-bit replay inverts LIF neurons of a fixed decay, not {other.words}: use checkpointed BPTT")
    for layer in every_layer(spec.layers):
        if isinstance(layer, Loop):
            return no("one-bit replay recomputes backwards in time, which is impossible in a loop over time steps")
    for neuron in map(lif_of, spec.neurons):
        if neuron.reset != "soft":
            return no("one-bit replay inverts the reset, and a hard reset cannot be undone: use checkpointed BPTT")
        if neuron.decay <= 0:
            return no("one-bit replay divides by the decay, which is 0 here: use SLTT, which is exact for decay = 0")
    return YES


def prepare(net: Network, options: Options) -> Network:
    return net


def invertible_steps(net: Network) -> float:
    """Return the steps over which a rounding error grows ``GROWTH`` times in the layer where it grows fastest; at least 1."""
    decay = min(lif_of(layer.spec).decay for layer in net.neurons())
    return math.inf if decay >= 1 else max(1, math.floor(math.log(GROWTH) / -math.log(decay)))


def train_step(net: Network, x: Tensor, context: StepContext, options: Options) -> Tensor:
    K = options.K
    within(K, x.shape[0], "replay")
    invertible = invertible_steps(net)
    parts = windows(x.shape[0], K, invertible)
    saved = set(windows_to_save(parts, invertible))
    state = net.initial_state(x.shape[1])
    anchors: dict[int, State] = {}  # saved states by the window before them; the one before the last window is known
    total = x.new_zeros(())
    with torch.no_grad(), recording(net) as spikes:
        for i, (begin, end) in enumerate(parts[:-1]):
            out, state = net.window(x[begin:end], state)
            context.watcher.saves(layer[-1] for layer in spikes)
            total = total + out.sum(0)
            if i + 1 in saved:
                anchors[i] = shallow(state)
    state = leaves(state)
    out = net.window(x[parts[-1][0] :], shallow(state))[0]
    context.loss(out).backward()
    total = total + out.detach().sum(0)
    with running_backwards(net, spikes), second_pass(net, context.watcher):
        for i in reversed(range(len(parts) - 1)):
            state = anchors.pop(i, state)
            out, state = net.window(x[slice(*parts[i])], state)
            context.loss(out).backward()
    context.update()
    return total


def windows(steps: int, K: int, within: float) -> list[tuple[int, int]]:
    """Return half-open ranges that cover ``steps``: the last has K steps, those before it min(K, ``within``)."""
    short = int(min(K, within))
    cuts = [0, *range((steps - K) % short or short, steps - K + 1, short), steps] if steps > K else [0, steps]
    return list(pairwise(cuts))


def windows_to_save(parts: list[tuple[int, int]], within: float) -> list[int]:
    """Return the windows (never the last) whose start state is saved, so that at most ``within`` steps in a row are inverted."""
    saved, inverted_from = [], parts[-1][0]
    for i in reversed(range(1, len(parts) - 1)):
        if inverted_from - parts[i - 1][0] > within:
            saved.append(i)
            inverted_from = parts[i][0]
    return saved


Spikes = list[list[Tensor]]  # [layer of neurons][window], packed


@contextmanager
def recording(net: Network) -> Iterator[Spikes]:
    """In this context, record the spikes of every layer of neurons before dropout, at one bit each."""
    spikes: Spikes = [[] for _ in net.neurons()]

    def note(windows: list[Tensor], module: nn.Module, inputs: object, output: tuple[Tensor, Tensor]) -> None:
        windows.append(pack(output[0]))

    hooks = [
        layer.neurons.register_forward_hook(partial(note, windows)) for layer, windows in zip(net.neurons(), spikes, strict=True)
    ]
    try:
        yield spikes
    finally:
        for hook in hooks:
            hook.remove()


class _ReversedNeurons(nn.Module):
    """Neurons that run backwards in time: ``forward`` takes the membrane potential after the window, returns that before it."""

    def __init__(self, spec: NeuronSpec, spikes: list[Tensor]) -> None:
        super().__init__()
        self.spec, self.spikes, self.carry = spec, spikes, CarriedGradient()

    def forward(self, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        if self.carry.g_v is None:
            self.carry.g_v = v.grad  # set by the last window, which ran forward
        return reversed_lif(x, v.detach(), self.spikes.pop(), self.spec, self.carry)


@contextmanager
def running_backwards(net: Network, spikes: Spikes) -> Iterator[None]:
    """In this context, ``net.window`` takes the state after a window and returns the one before it; call it in reverse order."""
    layers = net.neurons()
    forwards = [layer.neurons for layer in layers]
    for layer, bits in zip(layers, spikes, strict=True):
        layer.neurons = _ReversedNeurons(lif_of(layer.spec), bits)
    try:
        yield
    finally:
        for layer, neurons in zip(layers, forwards, strict=True):
            layer.neurons = neurons
