"""Training block by block: a network cut between its layers, every block with a loss of its own.

    y[i] = block_i(detached y[i-1]),   L[i] = loss(classifier_i(y[i]))

Block i and its classifier learn from L[i] alone. The last block's classifier is the network's own readout.

A block is b layers of neurons with the synapses before them, and what stands between them and the next synapse (pooling,
constant factors). Where a new block begins: before a synapse, a residual block or a Flatten of the network's top level, when b
layers of neurons have passed since the last cut and there are more to come; residual blocks are not cut, so that a block of
theirs may have more than b. b = 1 is a block a layer; b as large as the number of layers is one block, which is BPTT.

Backward unlocking: block i goes back before block i + 1 goes forward, so that one block's graph exists at a time. Its output
waits at half a byte a value meanwhile (waiting.py).

``classifier``, of an output [C, H, W] (one of features alone is a map of 1 x 1):

    pooled  fully connected, on means over the smallest k x k windows that leave at most 2048 values (local losses of Nøkland
            and Eidnes 2019, who let a window's height and width differ)
    dense   fully connected, on all C H W values
    conv    1 x 1 convolution to the classes, then the mean over the map (Lin et al. 2014)
    fixed   as dense, but its weights stay as drawn, U(-1, 1) / sqrt(C H W), without bias (DECOLLE, Kaiser et al. 2020)
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count, pairwise
from math import ceil, prod
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.algorithms.waiting import Waiting
from bench.networks import modules as m
from bench.networks.build import Network, Shape
from bench.networks.folded import restored
from bench.options import one_of, whole
from bench.spec import (
    YES,
    Conv,
    Dense,
    Flatten,
    Layer,
    Loop,
    NetworkSpec,
    Residual,
    Spike,
    Support,
    UserError,
    choose,
    every_layer,
    no,
)

Part = tuple[int, int]  # a half-open range of a network's top-level layers

POOLED = 2048  # values that a pooled classifier reads at most


def size_of_blocks() -> Any:
    return whole(1, "layers of neurons of a block; one block where it is their number or more", least=1)


def auxiliary_classifier() -> Any:
    return one_of("pooled", ("pooled", "dense", "conv", "fixed"), "what a block's loss is taken of")


def supports(spec: NetworkSpec) -> Support:
    if any(isinstance(layer, Loop) for layer in spec.layers):
        return no("a loop's feedback joins its last layer to its first: it cannot be cut into blocks; use truncated BPTT")
    if not spec.neuron_layers:
        return no("blocks are counted in layers of neurons, and this network has none")
    return YES


def neuron_layers(layer: Layer) -> int:
    return sum(isinstance(part, Spike) for part in every_layer([layer]))


def parts(layers: Sequence[Layer], b: int) -> list[Part]:
    """Where the blocks begin and end; UserError unless b >= 1."""
    if b < 1:
        raise UserError(f"b = {b} layers of neurons a block; use b >= 1 (as many as the network has, or more: one block)")
    cuts, passed, left = [0], 0, sum(map(neuron_layers, layers))
    for i, layer in enumerate(layers):
        if passed >= b and left and isinstance(layer, Conv | Dense | Flatten | Residual):
            cuts.append(i)
            passed = 0
        passed += neuron_layers(layer)
        left -= neuron_layers(layer)
    return list(pairwise([*cuts, len(layers)]))


class BlockNetwork(Network):
    """A network whose blocks can run alone, with an auxiliary classifier behind each but the last. Evaluated, it is as before."""

    def __init__(self, net: Network, parts: list[Part], classifiers: Sequence[nn.Module]) -> None:
        super().__init__(net.spec, net.body, net.layerwise)
        self.parts = parts
        self.classifiers = nn.ModuleList(classifiers)  # after the body: their weights are drawn after its
        self.waiting = nn.ModuleList(Waiting(list(net.body.layers)[slice(*part)]) for part in parts)
        self.forgets = False
        self.block = 0  # which one ran last, for whoever looks on

    def window_of(self, block: int, x: Tensor, state: m.State) -> tuple[Tensor, m.State]:
        """``window`` through one block: x [K, B, ...] -> y [K, B, ...], and the state of its layers alone."""
        whole, self.block = self.body, block
        self.body = chain(whole, self.parts[block])
        try:
            return (self.last_window(x, state), None) if self.forgets else self.window(x, state)
        finally:
            self.body = whole

    @contextmanager
    def leaving_states(self, *, wanted: bool) -> Iterator[None]:
        """Inside, ``window_of`` leaves no state unless it is wanted."""
        self.forgets = not wanted
        try:
            yield
        finally:
            self.forgets = False

    def scores(self, block: int, y: Tensor) -> Tensor:
        """What a block's loss is taken of: y [K, B, ...] -> [K, B, C]."""
        if block == len(self.parts) - 1:
            return y
        out: Tensor = self.classifiers[block](y, None)[0]
        return out


def chain(body: m.Chain, part: Part) -> m.Chain:
    return m.Chain(list(body.layers)[slice(*part)])


def prepare(net: Network, b: int, classifier: str) -> BlockNetwork:
    """Cut ``net`` into blocks of ``b`` and put the classifiers behind them, unset like all weights of a new network."""
    make = CLASSIFIERS[choose("classifier", classifier, CLASSIFIERS)]
    cut = parts(net.spec.layers, b)
    for begin, _ in cut[1:]:
        restored(net.body, begin)  # the block before ends here, and its classifier reads the same
    with torch.device(next(net.parameters()).device):
        return BlockNetwork(net, cut, [make(shape, net.spec.classes) for shape in output_shapes(net, cut)[:-1]])


def output_shapes(net: Network, cut: list[Part]) -> list[Shape]:
    """Of one sample at one time step, behind each block; found on a copy without storage (device 'meta')."""
    body = copy.deepcopy(net.body, {id(tensor): tensor.to("meta") for tensor in (*net.parameters(), *net.buffers())})
    x, shapes = torch.empty(1, 2, *net.spec.input, device="meta"), []
    for part in cut:
        with torch.no_grad():
            x, _ = chain(body, part)(x, None)
        shapes.append(tuple(x.shape[2:]))
    return shapes


# --------------------------------------------------------------------------- auxiliary classifiers


class FixedClassifier(nn.Module):
    """y = W x with a W that does not learn: no parameter, so that it has neither gradient nor optimizer state."""

    weight: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.empty(classes, features))

    def reset_parameters(self, generator: torch.Generator) -> None:
        bound = self.weight.shape[1] ** -0.5
        nn.init.uniform_(self.weight, -bound, bound, generator=generator)

    def forward(self, x: Tensor, state: m.State) -> tuple[Tensor, m.State]:
        # A matrix product as a 1 x 1 convolution, whose operator tells what each of its products is for.
        weight = self.weight[:, :, None, None]
        return m.fold(x, lambda flat: F.conv2d(flat.flatten(1)[:, :, None, None], weight).flatten(1)), state


def _dense(shape: Shape, classes: int) -> nn.Module:
    flat = m.Weightless(lambda x: x.flatten(1))
    return m.Chain([flat, m.DenseSynapse(Dense(classes, init="default"), prod(shape), "spikes")])


def _pooled(shape: Shape, classes: int) -> nn.Module:
    """Windows at the far edges are cut there: their means are over what they have."""
    channels, sides = shape[0], shape[1:]
    fits = (k for k in count(1) if channels * prod(ceil(n / k) for n in sides) <= POOLED or k >= max(sides, default=1))
    k = next(fits)
    pooled = m.Weightless(lambda x: x if k == 1 else F.avg_pool2d(x, k, ceil_mode=True))
    return m.Chain([pooled, _dense((channels, *(ceil(n / k) for n in sides)), classes)])


def _conv(shape: Shape, classes: int) -> nn.Module:
    as_map = m.Weightless(lambda x: x if x.dim() == 4 else x[:, :, None, None])
    pointwise = m.ConvSynapse(Conv(classes, kernel=1, padding=0), shape[0], "spikes")
    return m.Chain([as_map, pointwise, m.Weightless(lambda x: x.mean((2, 3)))])


def _fixed(shape: Shape, classes: int) -> nn.Module:
    return FixedClassifier(prod(shape), classes)


CLASSIFIERS: dict[str, Callable[[Shape, int], nn.Module]] = {"pooled": _pooled, "dense": _dense, "conv": _conv, "fixed": _fixed}


# --------------------------------------------------------------------------- one training step


def train_block(
    net: BlockNetwork, block: int, x: Tensor, state: m.State, loss: Callable[[Tensor], Tensor]
) -> tuple[Tensor, m.State]:
    """One block over a window, forward and back: gradients add up in ``.grad``; its graph is gone when this returns.

    x [K, B, ...] -> (y [K, B, ...], state), both detached. The state passed in is consumed.
    """
    y, state = net.window_of(block, x, state)
    value, waiting = loss(net.scores(block, y)), cast(Waiting, net.waiting[block])
    kept = waiting.put_aside(y)
    del y  # the graph alone holds the output itself, until it has gone back
    value.backward()
    return waiting(kept), m.map_state(torch.Tensor.detach, state)


def train(
    net: BlockNetwork, x: Tensor, loss: Callable[[Tensor], Tensor], apply: Callable[[], None], K: int, update: str
) -> Tensor:
    """Windows of K steps of x [T, B, ...], in each one block after the other; returns the readout's sum over time [B, C].

    ``update``: when ``apply`` is called, after each "block", after each "window", or at the "end".
    """
    start = net.initial_state(x.shape[1])
    states = [start and start[slice(*part)] for part in net.parts]
    total: Tensor | None = None
    steps_left = x.shape[0]
    for y in x.split(K):
        steps_left -= y.shape[0]
        with net.leaving_states(wanted=steps_left > 0):
            for block in range(len(states)):
                y, after = train_block(net, block, y, states.pop(0), loss)  # nobody else holds the state any more
                states.append(after)
                del after
                if update == "block":
                    apply()
        total = y.sum(0) if total is None else total + y.sum(0)
        if update == "window":
            apply()
    if update == "end":
        apply()
    assert total is not None, "a sequence of no steps"
    return total
