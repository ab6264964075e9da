"""Small networks with the neurons and layers that no other network of the catalogue has, one idea each.

plif          a learnt decay, batch norm and max pooling, as in Fang et al. 2021, at a small size; through a sigmoid (plif) or
              as snnTorch learns it (plif-clamped)
synaptic      second-order neurons
alif          recurrent neurons with an adaptive threshold, as the LSNN of Bellec et al. 2020, at a small size
refractory    neurons with a refractory period
norms         group norm and layer norm
spikformer    one block of Spikformer (Zhou et al., ICLR 2023): spiking self-attention and an MLP, each with a shortcut around
              it; convolutions 1 x 1 in place of its linear layers over places, which are the same
"""

from __future__ import annotations

from dataclasses import replace

from bench.spec import (
    AdaptiveAvgPool,
    AdaptiveLIF,
    Attention,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    GroupNorm,
    Layer,
    LayerNorm,
    Loop,
    MaxPool,
    NetworkSpec,
    Neuron,
    NeuronSpec,
    ParametricLIF,
    RefractoryLIF,
    Residual,
    Spike,
    Surrogate,
    SynapticLIF,
)

LIF = NeuronSpec(decay=0.5, surrogate=Surrogate("arctangent", 2.0))
_POOL = MaxPool(2, 2)
_MAPS, _WIDE = 16, 32  # channels of Spikformer's block, and of its MLP


def _normed(channels: int, neuron: Neuron, kernel: int = 3) -> tuple[Layer, ...]:
    return Conv(channels, kernel, padding=kernel // 2, bias=False), BatchNorm(), Spike(neuron)


def _network(kind: str, layers: tuple[Layer, ...], parameters: int) -> NetworkSpec:
    return NetworkSpec(f"{kind}/n-mnist", (2, 34, 34), 10, layers, LIF, parameters, "this suite", "frames")


def _convolutional(kind: str, neuron: Neuron, learnt: int = 0) -> NetworkSpec:
    layers = (*_normed(8, neuron), _POOL, *_normed(16, neuron), _POOL, Flatten(), Dense(10, init="default"))
    return _network(kind, layers, 2 * 8 * 9 + 16 + 8 * 16 * 9 + 32 + 16 * 64 * 10 + 10 + learnt)


def _alif() -> NetworkSpec:
    entry, back = Dense(32, init="default"), Dense(32, init="default")
    layers = (AvgPool(2, 2), Flatten(), Loop((entry,), (Spike(AdaptiveLIF(LIF)),), (back,)), Dense(10, init="default"))
    return _network("alif", layers, 2 * 17 * 17 * 32 + 32 + 32 * 32 + 32 + 32 * 10 + 10)


def _norms() -> NetworkSpec:
    layers = (
        Conv(8, bias=False), GroupNorm(2), Spike(LIF), AvgPool(2, 2), Conv(8, bias=False), GroupNorm(1), Spike(LIF), _POOL,
        Flatten(), Dense(32, init="default"), LayerNorm(), Spike(LIF), Dense(10, init="default"),
    )  # fmt: skip
    return _network("norms", layers, 2 * 8 * 9 + 16 + 8 * 8 * 9 + 16 + 8 * 64 * 32 + 32 + 64 + 32 * 10 + 10)


def _spikformer() -> NetworkSpec:
    project = _normed(_MAPS, LIF, 1)
    attended = (Attention(project, project, project, heads=4), Spike(replace(LIF, threshold=0.5)), *project)
    mlp = (*_normed(_WIDE, LIF, 1), *project)
    layers = (
        *_normed(8, LIF), _POOL, *_normed(_MAPS, LIF), _POOL, Residual((), attended), Residual((), mlp),
        AdaptiveAvgPool(1), Flatten(), Dense(10, init="default"),
    )  # fmt: skip
    stem = 2 * 8 * 9 + 16 + 8 * _MAPS * 9 + 2 * _MAPS
    block = 4 * (_MAPS * _MAPS + 2 * _MAPS) + 2 * _MAPS * _WIDE + 2 * _WIDE + 2 * _MAPS
    return _network("spikformer", layers, stem + block + _MAPS * 10 + 10)


NETWORKS = (
    _convolutional("plif", ParametricLIF(LIF), learnt=2),
    _convolutional("plif-clamped", ParametricLIF(LIF, "clamped"), learnt=2),
    _convolutional("synaptic", SynapticLIF(LIF)),
    _alif(),
    _convolutional("refractory", RefractoryLIF(LIF)),
    _norms(),
    _spikformer(),
)
