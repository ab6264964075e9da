"""Local training: the network is cut into blocks of layers, and each block has its own loss.

    y[i] = block_i(detached y[i-1]),   L[i] = loss(classifier_i(y[i]))

Block i and its classifier learn from L[i] alone. The classifier of the last block is the network's readout.

A block has b layers of neurons, the synapses before them, and what follows up to the next synapse (pooling, constant factors).
A new block begins before a synapse, residual block, attention or Flatten of the top level, if b layers of neurons have passed
since the last cut and more follow. Residual blocks and attention are not cut, so a block may have more than b layers. With b = 1
every layer of neurons is a block; with b >= the number of layers there is one block, which is BPTT.

Backward unlocking: the backward pass of block i runs before the forward pass of block i + 1, so only one block's graph exists at
a time. The output of block i is stored meanwhile at half a byte per value (packed_output.py).

``classifier`` of an output [C, H, W] (a vector of features counts as a map of 1 x 1):
    pooled  fully connected, on averages over k x k windows, with the smallest k that leaves at most 2048 values (local losses
            of Nøkland and Eidnes 2019, who allow windows that are not square)
    dense   fully connected, on all C H W values
    conv    1 x 1 convolution to the classes, then the mean over the map (Lin et al. 2014)
    fixed   as dense, but with constant random weights U(-1, 1) / sqrt(C H W) and no bias (DECOLLE, Kaiser et al. 2020)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import count, pairwise
from math import ceil, prod
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.algorithms.context import Loss, StepContext
from bench.algorithms.packed_output import PackedOutput
from bench.errors import YES, Support, UserError, choose, no
from bench.nets import layers as m
from bench.nets.build import Network
from bench.nets.folding import unfold_scale
from bench.nets.shapes import Shape, chain_shape
from bench.options import one_of, whole
from bench.spec import Attention, Conv, Dense, Flatten, Layer, Loop, NetworkSpec, Residual, Spike, every_layer

Part = tuple[int, int]  # a half-open range of a network's top-level layers

POOLED = 2048  # largest number of inputs of a pooled classifier


def size_of_blocks() -> Any:
    return whole(1, least=1, meaning="layers of neurons per block; their number or more gives one block")


def auxiliary_classifier() -> Any:
    return one_of("pooled", ("pooled", "dense", "conv", "fixed"), meaning="auxiliary classifier of a block")


def supports(spec: NetworkSpec) -> Support:
    if any(isinstance(layer, Loop) for layer in spec.layers):
        return no("a loop cannot be cut into blocks, because its feedback joins its last layer to its first; use truncated BPTT")
    if not spec.neuron_layers:
        return no("this network has no layers of neurons, so it cannot be cut into blocks")
    return YES


def neuron_layers(layer: Layer) -> int:
    return sum(isinstance(part, Spike) for part in every_layer([layer]))


def parts(layers: Sequence[Layer], b: int) -> list[Part]:
    """Return the ranges of layers that form the blocks. Raises UserError unless b >= 1."""
    if b < 1:
        raise UserError(f"b = {b} layers of neurons per block; use b >= 1 (b >= the layers of the network gives one block)")
    cuts, passed, left = [0], 0, sum(map(neuron_layers, layers))
    for i, layer in enumerate(layers):
        if passed >= b and left and isinstance(layer, Conv | Dense | Flatten | Residual | Attention):
            cuts.append(i)
            passed = 0
        passed += neuron_layers(layer)
        left -= neuron_layers(layer)
    return list(pairwise([*cuts, len(layers)]))


class BlockNetwork(Network):
    """A network whose blocks can run alone, with an auxiliary classifier after each block but the last.

    In evaluation mode it computes the same as before.
    """

    def __init__(self, net: Network, parts: list[Part], classifiers: Sequence[nn.Module]) -> None:
        super().__init__(net.spec, net.body, net.layerwise)
        self.parts = parts
        self.classifiers = nn.ModuleList(classifiers)  # after the body, so that its weights are drawn first
        self.packed = nn.ModuleList(PackedOutput(list(net.body.layers)[slice(*part)]) for part in parts)

    def forward(self, x: Tensor, state: m.State, block: int | None = None) -> tuple[Tensor, m.State]:
        """Run all layers over x [K, B, ...], or those of one block, whose state is then that of its layers alone."""
        y, state = (self.body if block is None else chain(self.body, self.parts[block]))(x, state)
        return y, state

    def window_of(self, block: int, x: Tensor, state: m.State) -> tuple[Tensor, m.State]:
        """Run one block over a window: x [K, B, ...] -> y [K, B, ...], with the state of the block's layers."""
        if self.layerwise:
            y, state = self(x, state, block)
            return y, state
        ys = []
        for x_t in x:
            y, state = self(x_t.unsqueeze(0), state, block)
            ys.append(y.squeeze(0))
        return torch.stack(ys), state

    def last_window_of(self, block: int, x: Tensor, state: m.State) -> Tensor:
        """As ``window_of``, without the state after the window."""
        if self.layerwise:
            return chain(self.body, self.parts[block]).last(x, state)
        return self.window_of(block, x, state)[0]

    def scores(self, block: int, y: Tensor) -> Tensor:
        """Return the class scores from which a block's loss is computed: y [K, B, ...] -> [K, B, C]."""
        if block == len(self.parts) - 1:
            return y
        out: Tensor = self.classifiers[block](y, None)[0]
        return out


def chain(body: m.Chain, part: Part) -> m.Chain:
    return m.Chain(list(body.layers)[slice(*part)])


def prepare(net: Network, b: int, classifier: str) -> BlockNetwork:
    """Cut ``net`` into blocks of ``b`` layers and add the classifiers. Their weights are unset until ``reset_parameters``."""
    make = CLASSIFIERS[choose("classifier", classifier, CLASSIFIERS)]
    layers = net.spec.layers
    cut = parts(layers, b)
    for begin, _ in cut[1:]:
        unfold_scale(net.body, begin)  # a classifier reads this input too
    with torch.device(next(net.parameters()).device):
        shapes = [chain_shape(layers[:end], net.spec.input) for _, end in cut[:-1]]
        return BlockNetwork(net, cut, [make(shape, net.spec.classes) for shape in shapes])


# --------------------------------------------------------------------------- auxiliary classifiers


class FixedClassifier(nn.Module):
    """y = W x with a constant W: a buffer, not a parameter, so that it has neither gradient nor optimizer state."""

    weight: Tensor

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.empty(classes, features))

    def reset_parameters(self, generator: torch.Generator) -> None:
        bound = self.weight.shape[1] ** -0.5
        nn.init.uniform_(self.weight, -bound, bound, generator=generator)

    def forward(self, x: Tensor, state: m.State) -> tuple[Tensor, m.State]:
        # A matrix product as a 1 x 1 convolution: from its operator the MAC counter knows what each product is for.
        weight = self.weight[:, :, None, None]
        return m.fold(x, lambda flat: F.conv2d(flat.flatten(1)[:, :, None, None], weight).flatten(1)), state


def _dense(shape: Shape, classes: int) -> nn.Module:
    flat = m.Weightless(partial(torch.flatten, start_dim=1))
    return m.Chain([flat, m.DenseSynapse(Dense(classes, init="default"), prod(shape), "spikes")])


def _pooled(shape: Shape, classes: int) -> nn.Module:
    """Windows at the far edges are cut off there; their means are over the remaining values."""
    channels, sides = shape[0], shape[1:]
    fits = (k for k in count(1) if channels * prod(ceil(n / k) for n in sides) <= POOLED or k >= max(sides, default=1))
    k = next(fits)
    pooled = m.Weightless(_unchanged if k == 1 else partial(F.avg_pool2d, kernel_size=k, ceil_mode=True))
    return m.Chain([pooled, _dense((channels, *(ceil(n / k) for n in sides)), classes)])


def _conv(shape: Shape, classes: int) -> nn.Module:
    as_map = m.Weightless(_as_map)
    pointwise = m.ConvSynapse(Conv(classes, kernel=1, padding=0), shape[0], "spikes")
    return m.Chain([as_map, pointwise, m.Weightless(partial(torch.mean, dim=(2, 3)))])


def _unchanged(x: Tensor) -> Tensor:
    return x


def _as_map(x: Tensor) -> Tensor:
    return x if x.dim() == 4 else x[:, :, None, None]


def _fixed(shape: Shape, classes: int) -> nn.Module:
    return FixedClassifier(prod(shape), classes)


CLASSIFIERS: dict[str, Callable[[Shape, int], nn.Module]] = {"pooled": _pooled, "dense": _dense, "conv": _conv, "fixed": _fixed}


# --------------------------------------------------------------------------- one training step


def train_block(net: BlockNetwork, block: int, x: Tensor, state: m.State, loss: Loss, *, last: bool) -> tuple[Tensor, m.State]:
    """Run one block over a window, forward and backward. Gradients add up in ``.grad``; the graph is freed before it returns.

    x [K, B, ...] -> (y [K, B, ...], state), both detached; no state after the ``last`` window. The state passed in is consumed.
    """
    y, state = (net.last_window_of(block, x, state), None) if last else net.window_of(block, x, state)
    value, output = loss(net.scores(block, y)), cast(PackedOutput, net.packed[block])
    packed = output.pack(y)
    del y  # from here only the graph holds the output, and frees it in the backward pass
    value.backward()
    return output(packed), m.map_state(torch.Tensor.detach, state)


def train(net: BlockNetwork, x: Tensor, context: StepContext, K: int, update: str) -> Tensor:
    """Train on windows of K steps of x [T, B, ...], block after block; returns the readout summed over time [B, C].

    ``update``: weights are updated after each "block", after each "window", or once at the "end".
    """
    start = net.initial_state(x.shape[1])
    states = [start and start[slice(*part)] for part in net.parts]
    total: Tensor | None = None
    steps_left = x.shape[0]
    for y in x.split(K):
        steps_left -= y.shape[0]
        for block in range(len(states)):
            y, after = train_block(net, block, y, states.pop(0), context.loss, last=steps_left == 0)  # pop: no other reference
            states.append(after)
            del after
            if update == "block":
                context.update()
        total = y.sum(0) if total is None else total + y.sum(0)
        if update == "window":
            context.update()
    if update == "end":
        context.update()
    assert total is not None, "a sequence of no steps"
    return total
