"""Builds a trainable network from a NetworkSpec, on any backend.

The interface that all algorithms use (window of K time steps, batch B, classes C):

    state = net.initial_state(batch)
    out[K, B, C], state = net.window(x[K, B, ...], state)
    out[B, C], state = net.step(x[B, ...], state)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.networks import modules as m
from bench.spec import (
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Gain,
    Layer,
    Loop,
    NetworkSpec,
    NeuronSpec,
    ReLU,
    Residual,
    Scale,
    Spike,
)

Shape = tuple[int, ...]


class Neuronal(Protocol):
    """The part of a backend that is needed to build a network."""

    @property
    def name(self) -> str: ...

    @property
    def layerwise(self) -> bool:
        """Whether a window runs layer by layer (True) or step by step (False), as in the framework's normal use."""

    def neurons(self, spec: NeuronSpec) -> nn.Module: ...

    # optional: ``arranged(net) -> net`` changes how the network is run, not the function that it computes


class Network(nn.Module):
    """A spiking network as a function with explicit state, built from a NetworkSpec for one backend."""

    def __init__(self, spec: NetworkSpec, body: m.Chain, layerwise: bool) -> None:
        super().__init__()
        self.spec = spec
        self.body = body
        self.layerwise = layerwise
        self.graph_to_state = 1.0  # bytes of graph per step over bytes of state; set by algorithms that need it
        # Read by observers: whether time steps are being recomputed, and what an algorithm has just saved for backward.
        self.again = False
        self.kept: list[Tensor] = []

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
        self.body.forgets = self.layerwise
        try:
            return self.window(x, state)[0]
        finally:
            self.body.forgets = False

    def outputs(self, x: Tensor) -> Tensor:
        """Run a sequence from the zero state: x [T, B, ...] -> [T, B, C]."""
        return self.last_window(x, self.initial_state(x.shape[1]))

    def neurons(self) -> list[nn.Module]:
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
            reset() if isinstance(module, nn.BatchNorm2d) else reset(generator)


def build(spec: NetworkSpec, backend: Neuronal, device: str = "cpu") -> Network:
    """Build ``spec`` on ``backend``. Weights are unset until ``reset_parameters``; on device 'meta' there are none to set.

    Raises ValueError if shapes do not fit, or if the number of parameters differs from the one that the spec states.
    """
    with torch.device(device):
        body, shape, _ = _chain(spec.layers, spec.input, "analog", backend)
    if shape != (spec.classes,):
        raise ValueError(f"{spec.name}: layers end in shape {shape}, expected ({spec.classes},)")
    net = Network(spec, body, backend.layerwise)
    arranged = getattr(backend, "arranged", None)
    net = net if arranged is None else arranged(net)
    count = sum(p.numel() for p in net.parameters())
    if count != spec.parameters:
        raise ValueError(f"{spec.name}: built with {count} parameters, but {spec.source} states {spec.parameters}")
    return net


Built = tuple[nn.Module, Shape, m.Presynaptic]


def _chain(
    layers: Sequence[Layer], shape: Shape, presynaptic: m.Presynaptic, backend: Neuronal
) -> tuple[m.Chain, Shape, m.Presynaptic]:
    built = []
    for layer in layers:
        module, shape, presynaptic = _layer(layer, shape, presynaptic, backend)
        built.append(module)
    return m.Chain(built), shape, presynaptic


def _layer(layer: Layer, shape: Shape, presynaptic: m.Presynaptic, backend: Neuronal) -> Built:
    """Return a layer's module, its output shape, and whether its output is a linear function of spikes."""
    out: Shape
    match layer:
        case Conv(channels, kernel, stride, padding):
            c, h, w = shape
            out = (channels, _reduced(h, kernel, stride, padding), _reduced(w, kernel, stride, padding))
            return m.ConvSynapse(layer, c, presynaptic), out, "analog"
        case Dense(features):
            return m.DenseSynapse(layer, prod(shape), presynaptic), (features,), "analog"
        case BatchNorm():
            return m.StepwiseBatchNorm(shape[0]), shape, "analog"
        case Spike(neuron, dropout):
            return m.Neurons(backend.neurons(neuron), neuron, dropout), shape, "spikes"
        case Scale(factor):
            return m.Scaled(factor), shape, presynaptic
        case Gain(factor, init):
            return m.LearnableGain(factor, init), shape, "analog"
        case AvgPool(kernel, stride, padding):
            c, h, w = shape
            out = (c, _reduced(h, kernel, stride, padding), _reduced(w, kernel, stride, padding))
            return m.AvgPool(kernel, stride, padding), out, presynaptic
        case AdaptiveAvgPool(size):
            return m.Weightless(lambda x: F.adaptive_avg_pool2d(x, size)), (shape[0], size, size), presynaptic
        case Flatten():
            return m.Weightless(lambda x: x.flatten(1)), (prod(shape),), presynaptic
        case ReLU():
            return m.Rectified(), shape, "analog"
        case Residual(pre, body, shortcut, shortcut_of):
            entry, inner, activated = _chain(pre, shape, presynaptic, backend)
            main, out, _ = _chain(body, inner, activated, backend)
            read = (inner, activated) if shortcut_of == "activated" else (shape, presynaptic)
            side, beside, _ = _chain(shortcut, *read, backend)
            if beside != out:
                raise ValueError(f"shortcut ends in shape {beside}, body in {out}")
            return m.ResidualBlock(entry, main, side if shortcut else None, shortcut_of), out, "analog"
        case Loop(entry, body, feedback, upsample):
            first, inner, _ = _chain(entry, shape, presynaptic, backend)
            main, out, emitted = _chain(body, inner, "analog", backend)
            source = (out[0], *(n * upsample for n in out[1:]))
            back, returned, _ = _chain(feedback, source, emitted, backend)
            if returned != inner:
                raise ValueError(f"feedback ends in shape {returned}, entry in {inner}")
            return m.FeedbackLoop(first, main, back, upsample), out, emitted


def _reduced(n: int, kernel: int, stride: int, padding: int) -> int:
    return (n + 2 * padding - kernel) // stride + 1
