"""The progress of a running training; holds no tensors, so that a process without torch can show it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far a training is: images done, running loss and accuracy (%), images per second."""

    done: int  # images
    total: int  # images
    epoch: int
    epochs: int
    loss: float
    accuracy: float
    images_per_second: float
