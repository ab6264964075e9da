"""Shapes of activations, computed from a network's layers as data. Imports no torch.

A shape is that of one sample at one time step: (channels, height, width) or (features,).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from bench.spec import (
    AdaptiveAvgPool,
    Attention,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    GroupNorm,
    Layer,
    LayerNorm,
    Loop,
    MaxPool,
    Residual,
)

Shape = tuple[int, ...]


def output_shape(layer: Layer, shape: Shape) -> Shape:
    """Return the shape after ``layer``. Raises ValueError if shapes do not fit, or a normalisation sees one value alone."""
    match layer:
        case Conv(channels, kernel, stride, padding):
            return (channels, *_reduced(shape, kernel, stride, padding))
        case AvgPool(kernel, stride, padding) | MaxPool(kernel, stride, padding):
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
        case Attention(query, key, value, heads):
            return _attended(chain_shape(query, shape), chain_shape(key, shape), chain_shape(value, shape), heads)
        case GroupNorm(groups):
            if len(shape) != 3 or shape[0] % groups or prod(shape) == groups:
                raise ValueError(f"{groups} groups of shape {shape}: use a divisor of a map's channels, and groups of 2 values")
        case LayerNorm():
            if prod(shape) == 1:
                raise ValueError("layer norm of a single value always gives its shift: use 2 values or more")
    return shape


def _attended(q: Shape, k: Shape, v: Shape, heads: int) -> Shape:
    if not all(len(shape) == 3 for shape in (q, k, v)):
        raise ValueError(f"attention reads maps (channels, height, width), not query {q}, key {k} and value {v}")
    if q[0] != k[0] or k[1:] != v[1:]:
        raise ValueError(
            f"query {q}, key {k} and value {v}: use as many channels in query and key, and key and value of one size"
        )
    if q[0] % heads or v[0] % heads:
        raise ValueError(f"{heads} heads of {q[0]} and {v[0]} channels: use a divisor of both")
    return (v[0], *q[1:])


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
            case Attention(query, key, value):
                for part in (query, key, value):
                    yield from layer_inputs(part, shape)
        shape = output_shape(layer, shape)


def enlarged(shape: Shape, factor: int) -> Shape:
    """Return the shape after upsampling the map ``factor`` times."""
    return (shape[0], *(n * factor for n in shape[1:]))


def _reduced(shape: Shape, kernel: int, stride: int, padding: int) -> Shape:
    """Return height and width after a sliding window."""
    if len(shape) != 3:
        raise ValueError(f"a convolution or pool reads maps (channels, height, width), not shape {shape}")
    return tuple((n + 2 * padding - kernel) // stride + 1 for n in shape[1:])
