"""The suite's own neurons: one autograd function per window, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from bench.backends.native_beyond_lif import beyond_lif
from bench.errors import YES, Support
from bench.kernels.lif import lif, lif_in_space
from bench.spec import Neuron, NeuronSpec

name = "native"
layerwise = True


def kernel() -> str:
    return "torch"


class NativeLIF(nn.Module):
    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__()
        self.spec = spec
        self.run: Callable[..., tuple[Tensor, Tensor]] = lif

    def in_space(self) -> None:
        """Stop the gradient through time from now on."""
        self.run = lif_in_space

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        return self.run(x, v, self.spec)


def has(spec: Neuron) -> Support:
    return YES


def neurons(spec: Neuron) -> nn.Module:
    return NativeLIF(spec) if isinstance(spec, NeuronSpec) else beyond_lif(spec, lif)
