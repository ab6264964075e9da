"""What a second computation of the same layers needs: the same random numbers, and running averages that stay."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


class Randomness:
    """Saves the state of the random number generators, so that a computation can be repeated with the same numbers."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device if device.type == "cuda" else None
        self._state = torch.cuda.get_rng_state(device) if self._cuda else torch.get_rng_state()

    @contextmanager
    def repeated(self) -> Iterator[None]:
        """In this context, repeat the random numbers drawn after construction; the generators' state is restored at the end."""
        with torch.random.fork_rng(devices=[self._cuda] if self._cuda else []):
            if self._cuda:
                torch.cuda.set_rng_state(self._state, self._cuda)
            else:
                torch.set_rng_state(self._state)
            yield


@contextmanager
def frozen_averages(layers: nn.Module) -> Iterator[None]:
    """In this context, running averages of batch norm stay unchanged: the first pass has updated them."""
    norms = [module for module in layers.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    tracked = [module.track_running_stats for module in norms]
    saved = [(module.running_mean, module.running_var, module.num_batches_tracked) for module in norms]
    for module in norms:
        module.track_running_stats = False
        module.running_mean = module.running_var = module.num_batches_tracked = None
    try:
        yield
    finally:
        for module, tracks, (mean, var, batches) in zip(norms, tracked, saved, strict=True):
            module.track_running_stats = tracks
            module.running_mean, module.running_var, module.num_batches_tracked = mean, var, batches
