"""The suite's own neurons as one fused operator a window."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from bench.kernels import fused
from bench.networks import modules as m
from bench.networks.arranged import pools_lightened, scales_folded
from bench.networks.build import Network
from bench.spec import NeuronSpec

name = "native-fast"
layerwise = True


def kernel() -> str:
    return "fused C++"


class FusedLIF(nn.Module):
    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__()
        self.spec = spec
        self.run: Callable[..., tuple[Tensor, Tensor]] = fused.lif_
        self.alone = False  # whether nobody else reads the input, so that its place can be used

    def in_space(self) -> None:
        """From now on no gradient goes through time."""
        self.run = fused.lif_in_space_

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.run(x if self.alone else x.clone(memory_format=torch.preserve_format), v, self.spec)


def arranged(net: Network) -> Network:
    net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for chain in net.modules():
        if isinstance(chain, m.Chain):
            for before, layer in pairwise(chain.layers):
                if isinstance(layer, m.Neurons):
                    own: Any = layer.neurons
                    own.alone = isinstance(before, m.Synapse | m.StepwiseBatchNorm)
    return pools_lightened(scales_folded(net))


def neurons(spec: NeuronSpec) -> nn.Module:
    return FusedLIF(spec)
