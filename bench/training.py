"""The training loop. It can be resumed at any batch; on a CPU an interrupted training gives the same result to the bit.

No random state is saved: for batch i of epoch e the order of samples, augmentation, encoding and dropout masks are drawn from
a seed made of names (bench.seeds.seed_of). A checkpoint holds weights, optimizer state and position.
"""

from __future__ import annotations

import hashlib
import math
import os
import pickle
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench import algorithms, backends, datasets, zoo
from bench.case import Case
from bench.datasets.real import RealData
from bench.digest import code_digest
from bench.errors import UserError
from bench.nets.batch_norm import require_variance
from bench.options import Part
from bench.progress import Progress
from bench.seeds import seed_of
from bench.training_step import WITHIN_A_BATCH, TrainingStep

if TYPE_CHECKING:
    from bench.contracts import Trainable

CHECKPOINT_EVERY_S = 15.0
ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Epoch:
    """Results of one epoch. Losses are means over samples; accuracies are in per cent."""

    epoch: int
    images: int
    train_loss: float
    train_accuracy: float
    test_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Position:
    """The next batch to train on, and the sums over the current epoch so far."""

    epoch: int = 0
    batch: int = 0
    images: int = 0
    loss: float = 0.0
    correct: int = 0
    seconds: float = 0.0
    history: tuple[Epoch, ...] = field(default_factory=tuple)


def train(
    case: Case,
    step: TrainingStep,
    data: RealData,
    *,
    epochs: int,
    checkpoint: Path,
    accumulate: int = 1,
    report: Callable[[Progress], None] = lambda _: None,
) -> tuple[Epoch, ...]:
    """Train for ``epochs`` epochs with cosine annealing per epoch (lr -> 0), resuming from ``checkpoint`` if it exists.

    The weights change after every ``accumulate`` batches, by the gradient of the mean loss over all their samples. Without
    batch norm or dropout this equals the gradient of one batch ``accumulate`` times as large.

    Returns one Epoch per epoch. The caller removes ``checkpoint`` once the results are saved. Raises UserError if the
    checkpoint belongs to another training, FloatingPointError if the loss is not finite, or a weight at the end of an epoch or
    before a checkpoint, which is then not written.
    """
    if accumulate > 1 and not step.recipe.updates_once:
        raise UserError(WITHIN_A_BATCH)
    about = _about(case, step, epochs, accumulate)
    device = next(step.net.parameters()).device
    peak_rates = [group["lr"] for group in step.optimizer.param_groups]
    position = _resume(checkpoint, step, about)
    batches = data.batches(case.batch)
    images = len(data.samples.train_y)
    require_variance(step.trainable.spec, images % case.batch or case.batch)  # the last batch of an epoch may be small
    saved = time.monotonic()
    while position.epoch < epochs:
        for group, rate in zip(step.optimizer.param_groups, peak_rates, strict=True):
            group["lr"] = rate * (1 + math.cos(math.pi * position.epoch / epochs)) / 2
        for x, y in data.training_batches(position.epoch, case.T, case.batch, position.batch):
            began = time.monotonic()
            torch.manual_seed(seed_of("masks", case.key, position.epoch, position.batch))
            samples_per_update = accumulate * case.batch
            first_of_update = position.images // samples_per_update * samples_per_update
            update_size = min(samples_per_update, images - first_of_update)  # the last update of an epoch may be smaller
            is_whole_update = len(y) == update_size
            train_on = step.run if is_whole_update else partial(step.accumulate, weight=len(y) / update_size)
            out = train_on(x.to(device), y.to(device)) / case.T
            seen = position.images + len(y)
            updated = seen % samples_per_update == 0 or seen == images
            if updated and not is_whole_update:
                step.update()
            loss = float(nn.functional.cross_entropy(out, y.to(device)))
            if not math.isfinite(loss):
                raise FloatingPointError(f"loss is {loss} in epoch {position.epoch + 1}: training diverged; lower lr")
            position = replace(
                position,
                batch=position.batch + 1,
                images=seen,
                loss=position.loss + loss * len(y),
                correct=position.correct + int((out.argmax(1).cpu() == y).sum()),
                seconds=position.seconds + time.monotonic() - began,
            )
            report(_progress(position, epochs, images))
            if time.monotonic() - saved > CHECKPOINT_EVERY_S and position.batch < batches and updated:  # gradients are not saved
                _save(checkpoint, step, position, about)
                saved = time.monotonic()
        accuracy = evaluate(step.trainable, data, case.T, case.batch)
        done = Epoch(
            position.epoch + 1,
            position.images,
            position.loss / position.images,
            100 * position.correct / position.images,
            accuracy,
            round(position.seconds, 2),
        )
        position = Position(epoch=position.epoch + 1, history=(*position.history, done))
        _save(checkpoint, step, position, about)
    return position.history


@torch.no_grad()
def evaluate(net: Trainable, data: RealData, T: int, batch: int) -> float:
    """Return the test accuracy in per cent: argmax of the outputs summed over T steps, in evaluation mode."""
    correct = total = 0
    for y, out in outputs(net, data, T, batch):
        correct += int((out.argmax(1) == y).sum())
        total += len(y)
    return 100 * correct / total


@torch.no_grad()
def outputs(net: Trainable, data: RealData, T: int, batch: int) -> list[tuple[Tensor, Tensor]]:
    """Return (targets [B], outputs summed over T steps [B, C]) of every test batch, in evaluation mode."""
    device = next(net.parameters()).device
    net.eval()
    results = []
    for x, y in data.test_batches(T, batch):
        results.append((y, net.outputs(x.to(device)).sum(0).cpu()))
    net.train()
    return results


def _progress(now: Position, epochs: int, images: int) -> Progress:
    return Progress(
        done=now.epoch * images + now.images,
        total=epochs * images,
        epoch=now.epoch + 1,
        epochs=epochs,
        loss=now.loss / now.images,
        accuracy=100 * now.correct / now.images,
        images_per_second=now.images / max(now.seconds, 1e-9),
    )


def require_finite(step: TrainingStep, epoch: int) -> None:
    """Raise FloatingPointError, naming it, if a parameter or running average is NaN or infinite.

    The loss does not show this: neurons whose potential is NaN do not fire.
    """
    for name, value in step.net.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise FloatingPointError(
                f"{name} is not finite in epoch {epoch}: {int((~torch.isfinite(value)).sum())} of {value.numel()} values. "
                "Look for NaN or infinite values in the data, or lower lr"
            )


def _save(path: Path, step: TrainingStep, position: Position, about: Mapping[str, object]) -> None:
    """Write to a temporary file, then rename it: if the process is killed, the former checkpoint stays intact.

    Raises FloatingPointError for weights that are not finite.
    """
    require_finite(step, position.epoch + (position.batch > 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    try:
        with draft.open("wb") as file:
            content = {**asdict(position), "history": [asdict(epoch) for epoch in position.history]}
            kept = {"weights": step.net.state_dict(), "optimizer": step.optimizer.state_dict(), "position": content}
            torch.save({**kept, "about": dict(about)}, file)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise UserError(f"checkpoint {path} cannot be written: {error}; free some space and repeat the command") from error
    draft.replace(path)


def _about(case: Case, step: TrainingStep, epochs: int, accumulate: int) -> dict[str, object]:
    """The identity of a training in plain values; a training with other values does not resume from its checkpoint."""
    modules = (
        __name__,
        algorithms.module_name(case.algorithm),
        backends.module_name(case.backend),
        *([zoo.module_name(case.network)] if case.network in zoo.names() else []),  # a user's own has no module
        *([datasets.module_name(case.dataset)] if case.dataset in datasets.names() else []),
    )
    names = ("network", "algorithm", "backend", "dataset", "T", "batch", "seed")
    part = {name: case.settings.get(name) for name in Part.names()}
    recipe = {name: list(value) if isinstance(value, tuple) else value for name, value in step.recipe.as_dict().items()}
    layers = hashlib.sha256(repr(step.net.spec).encode()).hexdigest()[:12]  # a network need not be registered
    own = {"layers": layers, "epochs": epochs, "accumulate": accumulate, "code": code_digest(modules, ROOT)}
    return {**{name: getattr(case, name) for name in names}, **part, **recipe, **own}


def _resume(path: Path, step: TrainingStep, about: Mapping[str, object]) -> Position:
    if not path.exists():
        return Position()
    try:
        saved = torch.load(path, weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise UserError(f"checkpoint {path} cannot be read ({error}); remove it to begin anew") from error
    saved_about = saved.get("about", {})
    differing = [name for name in {**saved_about, **about} if saved_about.get(name) != about.get(name)]
    if differing:
        differences = ", ".join(f"{name} was {saved_about.get(name)!r} and is {about.get(name)!r}" for name in differing)
        raise UserError(
            f"checkpoint {path} belongs to another training: {differences}; use its settings, or remove {path} to begin anew"
        )
    step.net.load_state_dict(saved["weights"])
    step.optimizer.load_state_dict(saved["optimizer"])
    position = saved["position"]
    return Position(**{**position, "history": tuple(Epoch(**epoch) for epoch in position["history"])})
