"""The suite's own neurons as one fused operator per window; what no fused kernel computes runs in plain torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from bench.backends.native import has
from bench.backends.native_beyond_lif import beyond_lif, in_plain_torch
from bench.errors import UserError
from bench.kernels import compiled, fused, meta_layout
from bench.nets import layers as m
from bench.nets.build import Network
from bench.nets.folding import with_folded_scales
from bench.nets.rewriting import with_channels_last, with_pooling_kernel, with_standardisation_kernel
from bench.spec import Neuron, NeuronSpec

__all__ = ["FusedLIF", "beside", "has", "kernel", "layerwise", "meta_layout", "name", "neurons", "rewritten"]

name = "native-fast"
layerwise = True


def kernel() -> str:
    return "fused LIF: " + ("Triton" if torch.cuda.is_available() else "C++")


class FusedLIF(nn.Module):
    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__()
        self.spec = spec
        self.run: Callable[..., tuple[Tensor, Tensor]] = fused.lif_
        self.overwrites_input = False  # whether only this layer reads the input, so that it may be overwritten

    def in_space(self) -> None:
        """Stop the gradient through time from now on."""
        self.run = fused.lif_in_space_

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.run(x if self.overwrites_input else x.clone(memory_format=torch.preserve_format), v, self.spec)


def rewritten(net: Network) -> Network:
    """Use channels-last layout, fold constant factors into weights, use fused pooling and standardisation.

    On a CPU it also makes this process keep freed memory. Raises UserError if the kernels cannot be built.
    """
    match next(net.parameters()).device.type:
        case "cpu":
            compiled.library()  # build now, not during a training step
            compiled.keep_freed_memory()
        case "cuda" if importlib.util.find_spec("triton") is None:
            raise UserError("backend native-fast: its kernels need Triton on a GPU: pip install triton, or use backend native")
    for chain in net.modules():
        if isinstance(chain, m.Chain):
            for before, layer in pairwise(chain.layers):
                if isinstance(layer, m.Neurons) and isinstance(layer.neurons, FusedLIF):
                    layer.neurons.overwrites_input = isinstance(before, m.Synapse | m.StepwiseBatchNorm)
    return with_channels_last(with_standardisation_kernel(with_pooling_kernel(with_folded_scales(net))))


def beside(spec: Neuron) -> str:
    part = in_plain_torch(spec)
    return f"{part}: torch" if part else ""


def neurons(spec: Neuron) -> nn.Module:
    return FusedLIF(spec) if isinstance(spec, NeuronSpec) else beyond_lif(spec, _lif)


def _lif(x: Tensor, v: Tensor | None, spec: NeuronSpec, decay: Tensor | None = None) -> tuple[Tensor, Tensor]:
    return fused.lif_(x.clone(memory_format=torch.preserve_format), v, spec, decay)
