"""A network arranged for speed: the same function of the same parameters, with less to move through memory."""

from __future__ import annotations

from functools import partial

import torch
from torch import nn

from bench.kernels.pool import avg_pool
from bench.kernels.standardise import standardised
from bench.networks import modules as m
from bench.networks.build import Network


def scales_folded(net: Network) -> Network:
    """Move constant factors of activations into the effective weights of the convolutions that read them.

        conv(pool(c * s), W) = conv(pool(s), c * W)    up to rounding

    A factor that something else reads too stays where it is. Changes ``net`` in place and returns it.
    """
    for module in net.modules():
        match module:
            case m.Chain():
                for i, layer in enumerate(module.layers):
                    _fold(layer, [_reader(module, i + 1)])
            case m.ResidualBlock() if len(module.pre.layers):
                branches = [branch for branch in (module.body, module.shortcut) if branch is not None]
                _fold(module.pre.layers[-1], [_reader(branch, 0) for branch in branches])
    return net


def pools_lightened(net: Network) -> Network:
    """Pool with kernels/pool.py wherever windows do not overlap: it keeps nothing for the backward pass."""
    for module in net.modules():
        if isinstance(module, m.AvgPool) and module.apart:
            module.f = partial(avg_pool, k=module.kernel)
    return net


def channels_innermost(net: Network) -> Network:
    """Weights, and so activations, with channels innermost where that pays: not where most weights are of kernels over 3 x 3.

    Convolutions with 7 x 7 kernels took 15 % more that way, with 3 x 3 as much or up to 8 % less (2 cores, oneDNN of torch 2.11).
    """
    convolutions = [module for module in net.modules() if isinstance(module, m.ConvSynapse)]
    weights = {large: sum(c.weight.numel() for c in convolutions if (c.spec.kernel > 3) is large) for large in (True, False)}
    if weights[False] >= weights[True]:
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return net


def weights_standardised_at_once(net: Network) -> Network:
    """Standardise weights with kernels/standardise.py: one pass over them each way."""
    for module in net.modules():
        if isinstance(module, m.ConvSynapse):
            module.standardise = partial(standardised, eps=m.WS_EPS)
    return net


def restored(chain: m.Chain, reader: int) -> None:
    """Undo it for the convolution that stands at ``reader``, because something else will read there too."""
    conv = chain.layers[reader]
    if isinstance(conv, m.ConvSynapse) and conv.factor != 1:
        scale = next(layer for layer in reversed(chain.layers[:reader]) if isinstance(layer, m.Scaled))
        scale.factor, conv.factor = conv.factor, 1.0


def _reader(chain: m.Chain, begin: int) -> nn.Module | None:
    """The first layer from ``begin`` on that does more than pool or reshape."""
    return next((layer for layer in chain.layers[begin:] if not isinstance(layer, m.Weightless)), None)


def _fold(layer: nn.Module, readers: list[nn.Module | None]) -> None:
    if isinstance(layer, m.Scaled) and all(isinstance(reader, m.ConvSynapse) for reader in readers):
        for reader in readers:
            reader.factor = layer.factor  # type: ignore[union-attr]
        layer.factor = 1.0
