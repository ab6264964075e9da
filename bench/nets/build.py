"""Builds a trainable network from a NetworkSpec, on any backend.

The interface that all algorithms use (window of K time steps, batch B, classes C):

    state = net.initial_state(batch)
    out[K, B, C], state = net.window(x[K, B, ...], state)
    out[B, C], state = net.step(x[B, ...], state)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property, partial
from math import prod
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.nets import layers as m
from bench.nets.graph_size import graph_and_state
from bench.nets.shapes import Shape, chain_shape, enlarged, output_shape
from bench.spec import (
    AdaptiveAvgPool,
    Attention,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gain,
    GroupNorm,
    Layer,
    LayerNorm,
    Loop,
    MaxPool,
    NetworkSpec,
    ReLU,
    Residual,
    Scale,
    Spike,
)

if TYPE_CHECKING:
    from bench.contracts import NeuronSource


class Network(nn.Module):
    """A spiking network as a function with explicit state, built from a NetworkSpec for one backend."""

    def __init__(self, spec: NetworkSpec, body: m.Chain, layerwise: bool) -> None:
        super().__init__()
        self.spec = spec
        self.body = body
        self.layerwise = layerwise

    @cached_property
    def graph_to_state(self) -> float:
        """Bytes that a time step saves for backward, over bytes of state; measured at first use (nets/graph_size.py)."""
        graph, state = graph_and_state(self)
        return graph / max(state, 1)

    def initial_state(self, batch: int) -> m.State:
        """Return the zero state. It needs no storage: None represents zeros of any batch size."""
        return None

    def forward(self, x: Tensor, state: m.State) -> tuple[Tensor, m.State]:
        """Run all layers over x [K, B, ...], layer by layer."""
        y, state = self.body(x, state)
        return y, state

    def step(self, x: Tensor, state: m.State) -> tuple[Tensor, m.State]:
        """One time step: x [B, ...] -> out [B, C]. The state passed in is consumed."""
        out, state = self(x.unsqueeze(0), state)
        return out.squeeze(0), state

    def window(self, x: Tensor, state: m.State) -> tuple[Tensor, m.State]:
        """K time steps: x [K, B, ...] -> out [K, B, C]. The state passed in is consumed."""
        if self.layerwise:
            out, state = self(x, state)
            return out, state
        outs = []
        for x_t in x:
            out, state = self.step(x_t, state)
            outs.append(out)
        return torch.stack(outs), state

    def last_window(self, x: Tensor, state: m.State) -> Tensor:
        """As ``window``, but without the state after it: a layer-by-layer backend frees each layer's state once it has run."""
        return self.body.last(x, state) if self.layerwise else self.window(x, state)[0]

    def outputs(self, x: Tensor) -> Tensor:
        """Run a sequence from the zero state: x [T, B, ...] -> [T, B, C]."""
        return self.last_window(x, self.initial_state(x.shape[1]))

    def neurons(self) -> list[m.Neurons]:
        """Return the layers of neurons, in order; their first output is spikes."""
        return [module for module in self.modules() if isinstance(module, m.Neurons)]

    def spiking(self) -> list[nn.Module]:
        """Return the modules whose first output is binary spikes, up to a constant factor."""
        return [module for module in self.modules() if getattr(module, "emits_spikes", False)]

    def carried(self, output: tuple[Tensor, m.State]) -> Iterator[Tensor]:
        """Yield the tensors of an output of ``forward`` that are passed to the next step."""
        return m.state_tensors(output[1])

    def synapses(self) -> dict[str, m.Synapse]:
        return {name: module for name, module in self.named_modules() if isinstance(module, m.Synapse)}

    def reset_parameters(self, seed: int) -> None:
        """Draw the initial weights; the same seed gives the same weights on every backend."""
        generator = torch.Generator().manual_seed(seed)
        for module in self.modules():
            reset = getattr(module, "reset_parameters", None)
            if reset is None or module is self:
                continue
            reset() if isinstance(module, m.NORMS) else reset(generator)


def build(spec: NetworkSpec, backend: NeuronSource, device: str = "cpu") -> Network:
    """Build ``spec`` on ``backend``. Weights are unset until ``reset_parameters``; on device 'meta' there are none to set.

    Raises ValueError if shapes do not fit, or if the number of parameters differs from the one that the spec states.
    """
    shape = chain_shape(spec.layers, spec.input)
    with torch.device(device):
        body, _ = _chain(spec.layers, spec.input, "analog", backend)
    if shape != (spec.classes,):
        raise ValueError(f"{spec.name}: layers end in shape {shape}, expected ({spec.classes},)")
    net = Network(spec, body, backend.layerwise)
    rewritten = getattr(backend, "rewritten", None)
    net = net if rewritten is None else rewritten(net)
    count = sum(p.numel() for p in net.parameters())
    if count != spec.parameters:
        raise ValueError(f"{spec.name}: built with {count} parameters, but {spec.source} states {spec.parameters}")
    return net


def _chain(
    layers: Sequence[Layer], shape: Shape, presynaptic: m.Presynaptic, backend: NeuronSource
) -> tuple[m.Chain, m.Presynaptic]:
    built = []
    for layer in layers:
        module, presynaptic = _layer(layer, shape, presynaptic, backend)
        shape = output_shape(layer, shape)
        built.append(module)
    return m.Chain(built), presynaptic


def _layer(layer: Layer, shape: Shape, presynaptic: m.Presynaptic, backend: NeuronSource) -> tuple[nn.Module, m.Presynaptic]:
    """Return a layer's module, and whether its output is spikes, or spikes that are scaled, pooled or summed."""
    match layer:
        case Conv():
            return m.ConvSynapse(layer, shape[0], presynaptic), "analog"
        case Dense():
            return m.DenseSynapse(layer, prod(shape), presynaptic), "analog"
        case BatchNorm():
            return m.StepwiseBatchNorm(shape[0]), "analog"
        case GroupNorm(groups):
            return m.StepwiseGroupNorm(groups, shape[0]), "analog"
        case LayerNorm():
            return m.StepwiseLayerNorm(list(shape)), "analog"
        case Spike(neuron, dropout):
            return m.Neurons(backend.neurons(neuron), neuron, dropout), "spikes"
        case Scale(factor):
            return m.Scaled(factor), presynaptic
        case Gain(factor, init):
            return m.LearnableGain(factor, init), "analog"
        case AvgPool(kernel, stride, padding):
            return m.AvgPool(kernel, stride, padding), presynaptic
        case MaxPool(kernel, stride, padding):
            return m.MaxPool(kernel, stride, padding), presynaptic
        case AdaptiveAvgPool(size):
            return m.Weightless(partial(F.adaptive_avg_pool2d, output_size=size)), presynaptic
        case Flatten():
            return m.Weightless(partial(torch.flatten, start_dim=1)), presynaptic
        case ReLU():
            return m.Rectified(), "analog"
        case Residual(pre, body, shortcut, shortcut_of):
            inner = chain_shape(pre, shape)
            entry, activated = _chain(pre, shape, presynaptic, backend)
            main, _ = _chain(body, inner, activated, backend)
            side, _ = _chain(shortcut, *((inner, activated) if shortcut_of == "activated" else (shape, presynaptic)), backend)
            return m.ResidualBlock(entry, main, side if shortcut else None, shortcut_of), "analog"
        case Loop(entry_layers, body, feedback, upsample):
            inner = chain_shape(entry_layers, shape)
            first, _ = _chain(entry_layers, shape, presynaptic, backend)
            main, emitted = _chain(body, inner, "analog", backend)
            back, _ = _chain(feedback, enlarged(chain_shape(body, inner), upsample), emitted, backend)
            return m.FeedbackLoop(first, main, back, upsample), emitted
        case Attention(query, key, value, heads, scale):
            q, k, v = (_chain(part, shape, presynaptic, backend)[0] for part in (query, key, value))
            return m.Attention(q, k, v, heads, scale), "analog"
