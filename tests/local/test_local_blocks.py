"""Blocks of a network, and how their outputs are stored."""

from __future__ import annotations

from math import ceil
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench import zoo
from bench.algorithms.blocks import neuron_layers, parts
from bench.algorithms.packed_output import Packed, PackedOutput, factor_of
from bench.backends import native
from bench.nets import layers as m
from bench.nets.build import _chain
from bench.spec import (  # fmt: skip
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    Layer,
    Residual,
    Scale,
    Spike,
)
from tests.local.networks import NETWORKS, NEURON, data
from tests.registered import PLAIN


@pytest.mark.parametrize("backend", [*PLAIN, "native-fast"])
@pytest.mark.parametrize("name", NETWORKS)
def test_stored_output_of_a_block_is_returned_to_the_bit(step_of: Any, name: str, backend: str) -> None:
    """If it cannot be packed, because of dropout, the output itself is stored."""
    step = step_of(NETWORKS[name], "local", backend)
    net, (y, _) = step.net, data()
    factors = []
    for i in range(len(net.parts) - 1):
        y, _ = net.window_of(i, y.detach(), None)
        assert float(y.detach().abs().mean()) > 0
        waiting = net.packed[i]
        kept = waiting.pack(y)
        back = waiting(kept)
        assert torch.equal(back, y)
        assert back.stride() == y.stride()
        assert not back.requires_grad
        assert isinstance(kept, Packed) == (waiting.factor is not None)
        if isinstance(kept, Packed):
            assert kept.halves.untyped_storage().nbytes() == ceil(y.numel() / 2)
        factors.append(waiting.factor)
    wanted = {"plain": [1, 2.74], "dropout": [None], "batch norm": [1], "residual": [1, 1], "dense": [1]}
    assert factors[: len(wanted[name])] == wanted[name]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("c", [1.0, 2.74, 0.3, 1 / 3])
def test_stored_output_of_few_levels_takes_half_a_byte(c: float, dtype: torch.dtype) -> None:
    s = torch.tensor([[int(bit) for bit in f"{n:04b}"] for n in range(16)], dtype=dtype).view(16, 1, 2, 2)
    means = F.avg_pool2d(s, 2)
    innermost = s.expand(16, 3, 2, 2).contiguous(memory_format=torch.channels_last)
    plain = (s, s[1:, :, 1:, 1:], means, innermost, s[:0])
    for y, factor in [*((y, 1.0) for y in plain), (s * c, c), (means * c, c)]:
        waiting = PackedOutput(list(_chain((Spike(NEURON), Scale(factor)), (3, 8, 8), "analog", native)[0].layers))
        kept = waiting.pack(y)
        assert isinstance(kept, Tensor) == (dtype == torch.bfloat16 and factor != 1)  # bfloat16 rounds 2.74
        back = waiting(kept)
        assert torch.equal(back, y)
        assert back.dtype == dtype


@pytest.mark.parametrize("pool", [(), (AvgPool(2, 2),)])
def test_stored_output_counts_as_spikes_unless_pooled(pool: tuple[Layer, ...]) -> None:
    layers = list(_chain((Spike(NEURON), Scale(2.0), *pool), (3, 8, 8), "analog", native)[0].layers)
    assert PackedOutput(layers).emits_spikes == (not pool)
    assert not PackedOutput([*layers, m.Rectified()]).emits_spikes


@pytest.mark.parametrize(
    ("layers", "c"),
    [
        ((Spike(NEURON),), 1.0),
        ((Spike(NEURON), Scale(2.0), AvgPool(2, 2), Scale(1.5)), 3.0),
        ((Spike(NEURON), AvgPool(3, 3)), None),
        ((Spike(NEURON), AvgPool(2, 1)), None),
        ((Spike(NEURON), AvgPool(2, 2), AvgPool(2, 2)), None),
        ((Spike(NEURON), AdaptiveAvgPool(2)), None),
        ((Spike(NEURON, 0.1),), None),
        ((Conv(3),), None),
        ((Spike(NEURON), Conv(3)), None),
    ],
)
def test_stored_output_of_more_levels_is_not_packed(layers: tuple[Layer, ...], c: float | None) -> None:
    assert factor_of(list(_chain(layers, (3, 8, 8), "analog", native)[0].layers)) == c


@pytest.mark.parametrize(("b", "sizes"), [(1, [1] * 7), (2, [2, 2, 2, 1]), (3, [3, 3, 1]), (4, [4, 3]), (6, [6, 1]), (7, [7])])
@pytest.mark.parametrize("name", ["alexnet/cifar10-dvs-42", "alexnet-unpooled/cifar10-dvs-48"])
def test_parts_of_seven_layers(name: str, b: int, sizes: list[int]) -> None:
    layers = zoo.spec(name).layers
    cut = parts(layers, b)
    assert [sum(map(neuron_layers, layers[begin:end])) for begin, end in cut] == sizes
    assert [i for begin, end in cut for i in range(begin, end)] == list(range(len(layers)))


@pytest.mark.parametrize("b", [1, 2, 5])
@pytest.mark.parametrize("name", [name for name in zoo.names() if not name.startswith(("vgg-f", "r400", "vgg-sws-ann"))])
def test_parts_begin_at_synapses_and_have_b_layers_of_neurons(name: str, b: int) -> None:
    layers = zoo.spec(name).layers
    cut = parts(layers, b)
    assert (cut[0][0], cut[-1][1]) == (0, len(layers))
    counts = [sum(map(neuron_layers, layers[begin:end])) for begin, end in cut]
    assert all(count >= b for count in counts[:-1])
    assert counts[-1] >= 1  # the readout shares its block with neurons
    for begin, _ in cut[1:]:
        assert isinstance(layers[begin], Conv | Dense | Flatten | Residual)
        assert not isinstance(layers[begin - 1], Conv | Dense | BatchNorm)
    if not any(isinstance(layer, Residual) for layer in layers):
        assert all(count == b for count in counts[:-1])


def test_parts_keep_pooling_and_scaling_with_the_spikes_before() -> None:
    assert parts(NETWORKS["plain"].layers, 1) == [(0, 3), (3, 6), (6, 11)]
    assert parts(NETWORKS["dense"].layers, 1) == [(0, 3), (3, 7)]  # a convolutional classifier reads the map, not the vector
    assert parts(NETWORKS["residual"].layers, 1) == [(0, 2), (2, 4), (4, 9)]  # a residual block is not cut
