"""Chooses the groups of layers that are recomputed in the backward pass. A group ends with neurons or a residual block."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from bench.nets import layers as m
from bench.nets.build import Network

Cut = tuple[int, int]  # a half-open range of layers


@dataclass(frozen=True)
class Size:
    """Neurons (0 if none) and forward multiply-accumulates of one layer, for one sample and time step."""

    neurons: int
    macs: int


def sizes(net: Network) -> list[Size]:
    """Return the sizes of the top-level layers, in order, counted on a copy on device 'meta'."""
    body = copy.deepcopy(net.body, {id(tensor): tensor.to("meta") for tensor in (*net.parameters(), *net.buffers())})
    body.eval()  # batch norm has no statistics for one sample
    layer_sizes = []
    x = torch.empty(1, 1, *net.spec.input, device="meta")
    for layer in body.layers:
        neurons: list[int] = []
        macs: list[int] = []
        for part in layer.modules():
            if isinstance(part, m.Neurons):
                part.register_forward_hook(lambda _, __, out, to=neurons: to.append(out[0].numel()))
            elif isinstance(part, m.Synapse):
                part.register_forward_hook(lambda own, _, out, to=macs: to.append(out[0].numel() * _fan_in(own)))
            elif isinstance(part, m.Attention):
                part.register_forward_hook(lambda own, _, out, to=macs: to.append(own.products(out[0])))
        with torch.no_grad():
            x, _ = layer(x, None)
        layer_sizes.append(Size(sum(neurons), sum(macs)))
    return layer_sizes


def _fan_in(synapse: m.Synapse) -> int:
    return synapse.effective_weight()[0].numel()


def groups_ending_at_small_layers(layers: Sequence[nn.Module], layer_sizes: Sequence[Size]) -> list[Cut]:
    """Return groups that end at residual blocks and at layers with at most half the neurons of the group's largest layer.

    The tensors between groups exist for the whole batch, those inside a group only for a piece of it; so groups should end at
    small layers. The last group includes the pool after it, but not the readout.
    """
    cuts: list[Cut] = []
    begin, largest, last = 0, 0, max((i for i, layer in enumerate(layers) if _may_end_group(layer)), default=-1)
    for i in range(last + 1):
        largest = max(largest, layer_sizes[i].neurons)
        if _may_end_group(layers[i]) and (
            i == last or isinstance(layers[i], m.ResidualBlock) or 2 * layer_sizes[i].neurons <= largest
        ):
            cuts.append((begin, i + 1))
            begin, largest = i + 1, 0
    end = next((i for i in range(last + 1, len(layers)) if not isinstance(layers[i], m.Weightless)), len(layers))
    return [*cuts[:-1], (cuts[-1][0], end)] if cuts else []


def cheap_first_groups(layers: Sequence[nn.Module], layer_sizes: Sequence[Size], share: float) -> list[Cut]:
    """Return the longest sequence of first layers with at most ``share`` of the multiply-accumulates of a BPTT step.

    The first layers have most neurons and fewest inputs, so recomputing them saves most memory per operation. They form one
    group, of whose graph one piece exists at a time. With batch norm, which cannot be split into pieces, they form as many
    groups as possible.
    """
    macs = [size.macs for size in layer_sizes]
    ends = [i + 1 for i, layer in enumerate(layers) if _may_end_group(layer) and sum(macs[: i + 1]) <= share * 3 * sum(macs)]
    if not any(normalises(layer) for layer in layers[: max(ends, default=0)]):
        ends = ends[-1:]
    return list(pairwise([0, *ends]))


def normalises(layer: nn.Module) -> bool:
    """Whether ``layer`` contains batch norm, which makes the samples of a batch depend on one another."""
    return any(isinstance(part, m.StepwiseBatchNorm) for part in layer.modules())


def _may_end_group(layer: nn.Module) -> bool:
    return isinstance(layer, m.Neurons | m.ResidualBlock)
