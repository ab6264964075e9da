"""The suite's own neurons: one autograd function over the whole window, plain PyTorch."""

from __future__ import annotations

from torch import Tensor, nn

from bench.kernels.lif import lif
from bench.spec import NeuronSpec

name = "native"
layerwise = True


def kernel() -> str:
    return "torch"


class NativeLIF(nn.Module):
    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        return lif(x, v, self.spec)


def neurons(spec: NeuronSpec) -> nn.Module:
    return NativeLIF(spec)
