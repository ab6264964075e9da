"""Moves constant factors of activations into the weights that read them, and back."""

from __future__ import annotations

from torch import nn

from bench.nets import layers as m
from bench.nets.build import Network


def with_folded_scales(net: Network) -> Network:
    """Move constant factors of activations into the effective weights of the convolutions that read them.

        conv(pool(c * s), W) = conv(pool(s), c * W)    up to rounding

    A factor whose output other layers read too is left in place. Changes ``net`` in place and returns it.
    """
    for module in net.modules():
        match module:
            case m.Chain():
                for i, layer in enumerate(module.layers):
                    _fold(layer, [_reader(module, i + 1)])
            case m.ResidualBlock() if len(module.pre.layers):
                readers = [_reader(module.body, 0)]
                if module.shortcut_of == "activated":
                    readers.append(None if module.shortcut is None else _reader(module.shortcut, 0))
                _fold(module.pre.layers[-1], readers)
    return net


def unfold_scale(chain: m.Chain, reader: int) -> None:
    """Undo the folding for the convolution at index ``reader``, because another module will read its input too."""
    conv = chain.layers[reader]
    if isinstance(conv, m.ConvSynapse) and conv.factor != 1:
        scale = next(layer for layer in reversed(chain.layers[:reader]) if isinstance(layer, m.Scaled))
        scale.factor, conv.factor = conv.factor, 1.0


def _reader(chain: m.Chain, begin: int) -> nn.Module | None:
    """Return the first layer from ``begin`` on that is not pooling or reshaping."""
    return next((layer for layer in chain.layers[begin:] if not isinstance(layer, m.Weightless)), None)


def _fold(layer: nn.Module, readers: list[nn.Module | None]) -> None:
    if isinstance(layer, m.Scaled) and all(isinstance(reader, m.ConvSynapse) for reader in readers):
        for reader in readers:
            reader.factor = layer.factor  # type: ignore[union-attr]
        layer.factor = 1.0
