"""A block's output while the block's graph exists: the spikes of its last neurons, at one bit each.

    y = f(s)    with f what stands behind those neurons: pooling, constant factors, a change of shape

A block's last gradients are worked out long after its last layer has run, and all that time the next block waits for y. Kept as
bits it is 1/32 of s in float32; f is done once more at the end. Exact. Where f is more than that, or dropout thins the spikes (a
residual block, say), y itself is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.kernels.bits import pack, unpack
from bench.networks import modules as m


class Waiting:
    """Of the layers of one block: ``listening`` while they run over a window; ``output`` gives y [K, B, ...] again."""

    def __init__(self, layers: Sequence[nn.Module]) -> None:
        last = max((i for i, layer in enumerate(layers) if isinstance(layer, m.Neurons)), default=None)
        self.neurons: Any = None if last is None else layers[last]
        self.behind = [] if last is None else list(layers[last + 1 :])
        self.bits: list[tuple[Tensor, torch.Size, torch.dtype]] = []

    def possible(self) -> bool:
        """Whether y follows from spikes alone."""
        return (
            self.neurons is not None
            and self.neurons.dropout == 0
            and all(isinstance(layer, m.Weightless | m.Scaled) for layer in self.behind)
        )

    @contextmanager
    def listening(self) -> Iterator[None]:
        fired: list[Tensor] = []  # packed only in the end: while neurons run, their input is alive as well
        handle = self.neurons.register_forward_hook(lambda _, __, result: fired.append(result[0].detach()))
        try:
            yield
        finally:
            handle.remove()
        self.bits = [(pack(s), s.shape, s.dtype) for s in fired]

    @torch.no_grad()
    def output(self) -> Tensor:
        """The bits are gone after this."""
        steps = [unpack(*kept) for kept in self.bits]
        self.bits = []
        y = steps.pop() if len(steps) == 1 else torch.cat(steps)
        del steps
        for layer in self.behind:
            y, _ = layer(y, None)
        return y
