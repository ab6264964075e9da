"""snnTorch's Leaky, with every setting explicit.

Three of its defaults differ from the other frameworks: it fires at u > threshold (here: >=); it resets one step late; and its
immediate reset (``reset_delay=False``) subtracts a second time if the potential is still at or above threshold after a reset,
and passes the gradient through the spike. Therefore only its charge and firing are used (``reset_mechanism="none"``), and the
reset is implemented here. tests/equivalence shows that the built-in reset fails the equivalence gate.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import snntorch
import torch
from torch import Tensor, nn

from bench.backends import copies
from bench.errors import YES, Support
from bench.kernels.surrogate import fire
from bench.spec import NeuronSpec

name = "snntorch"
layerwise = False


def kernel() -> str:
    return "snntorch.Leaky"


class Leaky(snntorch.Leaky):  # type: ignore[misc]  # snnTorch is not typed
    """snnTorch's neurons, which can be copied and saved although they hold the last membrane potential with its graph."""

    def __getstate__(self) -> dict[str, Any]:
        return copies.state_of(self, "_buffers")


class LeakyLIF(nn.Module):
    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__()
        self.spec = spec
        with torch.device("cpu"):  # its constructor reads values, which do not exist on device 'meta'
            self.leaky = Leaky(
                beta=spec.decay,
                threshold=spec.threshold,
                spike_grad=partial(fire, surrogate=spec.surrogate),
                reset_mechanism="none",
            )

    def forward(self, x: Tensor, v: Tensor | None) -> tuple[Tensor, Tensor]:
        (x_t,) = x
        s, u = self.leaky(x_t, torch.zeros_like(x_t) if v is None else v)
        gate = s.detach() if self.spec.detach_reset else s
        after = u - self.spec.threshold * gate if self.spec.reset == "soft" else u * (1 - gate)
        return s.unsqueeze(0), after


def has(spec: NeuronSpec) -> Support:
    return YES


def neurons(spec: NeuronSpec) -> nn.Module:
    return LeakyLIF(spec)
