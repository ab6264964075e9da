"""Shapes of activations, computed from a network's layers as data. Imports no torch.

A shape is that of one sample at one time step: (channels, height, width) or (features,).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from bench.spec import AdaptiveAvgPool, AvgPool, Conv, Dense, Flatten, Layer, Loop, Residual

Shape = tuple[int, ...]


def output_shape(layer: Layer, shape: Shape) -> Shape:
    """Return the shape after ``layer``. Raises ValueError if branches that are added differ."""
    match layer:
        case Conv(channels, kernel, stride, padding):
            return (channels, *_reduced(shape, kernel, stride, padding))
        case AvgPool(kernel, stride, padding):
            return (shape[0], *_reduced(shape, kernel, stride, padding))
        case AdaptiveAvgPool(size):
            return (shape[0], size, size)
        case Dense(features):
            return (features,)
        case Flatten():
            return (prod(shape),)
        case Residual(pre, body, shortcut, shortcut_of):
            activated = chain_shape(pre, shape)
            out, side = chain_shape(body, activated), chain_shape(shortcut, activated if shortcut_of == "activated" else shape)
            if side != out:
                raise ValueError(f"shortcut ends in shape {side}, body in {out}")
            return out
        case Loop(entry, body, feedback, upsample):
            inner = chain_shape(entry, shape)
            out = chain_shape(body, inner)
            returned = chain_shape(feedback, enlarged(out, upsample))
            if returned != inner:
                raise ValueError(f"feedback ends in shape {returned}, entry in {inner}")
            return out
    return shape


def chain_shape(layers: Sequence[Layer], shape: Shape) -> Shape:
    """Return the shape after a sequence of layers."""
    for layer in layers:
        shape = output_shape(layer, shape)
    return shape


def layer_inputs(layers: Sequence[Layer], shape: Shape) -> Iterator[tuple[Layer, Shape]]:
    """Yield every layer with the shape of its input, depth first; a layer that contains others comes before them."""
    for layer in layers:
        yield layer, shape
        match layer:
            case Residual(pre, body, shortcut, shortcut_of):
                activated = chain_shape(pre, shape)
                yield from layer_inputs(pre, shape)
                yield from layer_inputs(body, activated)
                yield from layer_inputs(shortcut, activated if shortcut_of == "activated" else shape)
            case Loop(entry, body, feedback, upsample):
                inner = chain_shape(entry, shape)
                yield from layer_inputs(entry, shape)
                yield from layer_inputs(body, inner)
                yield from layer_inputs(feedback, enlarged(chain_shape(body, inner), upsample))
        shape = output_shape(layer, shape)


def enlarged(shape: Shape, factor: int) -> Shape:
    """Return the shape after upsampling the map ``factor`` times."""
    return (shape[0], *(n * factor for n in shape[1:]))


def _reduced(shape: Shape, kernel: int, stride: int, padding: int) -> Shape:
    """Return height and width after a sliding window."""
    if len(shape) != 3:
        raise ValueError(f"a convolution or pool reads maps (channels, height, width), not shape {shape}")
    return tuple((n + 2 * padding - kernel) // stride + 1 for n in shape[1:])
