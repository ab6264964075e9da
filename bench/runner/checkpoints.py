"""Checkpoints of trainings (bench/training.py) as files that may be damaged or foreign. torch is imported to read one."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError
from bench.readers import items, number, table, whole

EVERY_S = 15.0  # seconds between two checkpoints of a training (bench.training.CHECKPOINT_EVERY_S, which imports torch)
_PARTS = {"weights", "optimizer", "position", "about"}
_POSITION = {"epoch", "batch", "images", "loss", "correct", "seconds", "history"}
_EPOCH = {"epoch", "images", "train_loss", "train_accuracy", "test_accuracy", "seconds"}


@dataclass(frozen=True)
class Standing:
    """How far a stopped training is: finished epochs, and the samples and seconds of these and of the one it is in."""

    epochs: int = 0
    samples: int = 0
    seconds: float = 0.0


def standing(path: Path) -> Standing:
    """Return how far the training of a checkpoint is. Raises UserError, which names the file, if it holds no training."""
    remedy = f"remove {path} to begin that training anew"
    content = _content(path, remedy)
    try:
        if set(content) != _PARTS:
            raise TypeError(f"it holds {', '.join(map(str, content)) or 'nothing'}")
        for part in sorted(_PARTS):
            table(content[part], part)
        position = table(content["position"], "position")
        epochs = [table(epoch, "an epoch") for epoch in items(position["history"], "history")]
        if set(position) != _POSITION or any(set(epoch) != _EPOCH for epoch in epochs):
            raise TypeError("its position has other fields")
        samples = [whole(part["images"], "images") for part in (*epochs, position)]
        seconds = [number(part["seconds"], "seconds") for part in (*epochs, position)]
        return Standing(whole(position["epoch"], "epoch"), sum(samples), sum(seconds))
    except (TypeError, KeyError) as error:
        raise UserError(f"checkpoint {path} holds no training of this version of spikecost ({error}); {remedy}") from error


def _content(path: Path, remedy: str) -> Mapping[object, object]:
    import torch

    try:
        with zipfile.ZipFile(path) as file:
            damaged = file.testzip()  # by checksums, which torch.load does not compare
        if damaged is not None:
            raise zipfile.BadZipFile(f"the checksum of {damaged} differs")
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, ValueError, KeyError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"checkpoint {path} cannot be read ({said}); {remedy}") from error
    return content if isinstance(content, Mapping) else {}
