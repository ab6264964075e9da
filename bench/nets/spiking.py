"""Layers of neurons."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.nets.state import State
from bench.spec import Neuron


class Neurons(nn.Module):
    """A backend's neurons with dropout; one mask for all time steps of a sample. State: [that of the neurons, mask]."""

    emits_spikes = True

    def __init__(self, neurons: nn.Module, spec: Neuron, dropout: float) -> None:
        super().__init__()
        self.neurons = neurons
        self.spec = spec
        self.dropout = dropout

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        v, mask = state or (None, None)
        del state
        s, v = self.neurons(x, v)
        if self.training and self.dropout > 0:
            if mask is None:
                mask = torch.empty_like(s[0]).bernoulli_(1 - self.dropout).div_(1 - self.dropout)
            s = s * mask.detach()  # a mask from a checkpointed state must not get a gradient
        return s, [v, mask]
