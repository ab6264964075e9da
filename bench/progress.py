"""What a training says while it runs; a value without tensors, so that it can be shown by a process without torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where a training is, for people: shares of the whole, running loss and accuracy (%), images per second."""

    done: int  # images
    total: int  # images
    epoch: int
    epochs: int
    loss: float
    accuracy: float
    images_per_second: float
