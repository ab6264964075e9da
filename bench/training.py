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
    at = _resume(checkpoint, step, about)
    batches = data.batches(case.batch)
    images = len(data.samples.train_y)
    require_variance(step.trainable.spec, images % case.batch or case.batch)  # the last batch of an epoch may be small
    saved = time.monotonic()
    while at.epoch < epochs:
        for group, rate in zip(step.optimizer.param_groups, peak_rates, strict=True):
            group["lr"] = rate * (1 + math.cos(math.pi * at.epoch / epochs)) / 2
        for x, y in data.training_batches(at.epoch, case.T, case.batch, at.batch):
            began = time.monotonic()
            torch.manual_seed(seed_of("masks", case.key, at.epoch, at.batch))
            together = accumulate * case.batch
            gathered = min(together, images - at.images // together * together)  # samples of this update
            whole = len(y) == gathered
            train_on = step.run if whole else partial(step.gather, weight=len(y) / gathered)
            out = train_on(x.to(device), y.to(device)) / case.T
            seen = at.images + len(y)
            moved = seen % together == 0 or seen == images
            if moved and not whole:
                step.update()
            loss = float(nn.functional.cross_entropy(out, y.to(device)))
            if not math.isfinite(loss):
                raise FloatingPointError(f"loss is {loss} in epoch {at.epoch + 1}: training diverged; lower lr")
            at = replace(
                at,
                batch=at.batch + 1,
                images=seen,
                loss=at.loss + loss * len(y),
                correct=at.correct + int((out.argmax(1).cpu() == y).sum()),
                seconds=at.seconds + time.monotonic() - began,
            )
            report(_progress(at, epochs, images))
            if time.monotonic() - saved > CHECKPOINT_EVERY_S and at.batch < batches and moved:  # gradients are not saved
                _save(checkpoint, step, at, about)
                saved = time.monotonic()
        accuracy = evaluate(step.trainable, data, case.T, case.batch)
        done = Epoch(at.epoch + 1, at.images, at.loss / at.images, 100 * at.correct / at.images, accuracy, round(at.seconds, 2))
        at = Position(epoch=at.epoch + 1, history=(*at.history, done))
        _save(checkpoint, step, at, about)
    return at.history


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


def _progress(at: Position, epochs: int, images: int) -> Progress:
    trained = at.epoch * images + at.images
    return Progress(
        trained, epochs * images, at.epoch + 1, epochs, at.loss / at.images, 100 * at.correct / at.images,
        at.images / max(at.seconds, 1e-9),
    )  # fmt: skip


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


def _save(path: Path, step: TrainingStep, at: Position, about: Mapping[str, object]) -> None:
    """Write to a temporary file, then rename it: if the process is killed, the former checkpoint stays intact.

    Raises FloatingPointError for weights that are not finite.
    """
    require_finite(step, at.epoch + (at.batch > 0))
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".new")
    try:
        with beside.open("wb") as file:
            position = {**asdict(at), "history": [asdict(epoch) for epoch in at.history]}
            kept = {"weights": step.net.state_dict(), "optimizer": step.optimizer.state_dict(), "position": position}
            torch.save({**kept, "about": dict(about)}, file)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(f"checkpoint {path} cannot be written: {error}; free some space and repeat the command") from error
    beside.replace(path)


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
    told = {name: list(value) if isinstance(value, tuple) else value for name, value in step.recipe.as_dict().items()}
    layers = hashlib.sha256(repr(step.net.spec).encode()).hexdigest()[:12]  # a network need not be registered
    own = {"layers": layers, "epochs": epochs, "accumulate": accumulate, "code": code_digest(modules, ROOT)}
    return {**{name: getattr(case, name) for name in names}, **part, **told, **own}


def _resume(path: Path, step: TrainingStep, about: Mapping[str, object]) -> Position:
    if not path.exists():
        return Position()
    try:
        saved = torch.load(path, weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile) as error:
        raise UserError(f"checkpoint {path} cannot be read ({error}); remove it to begin anew") from error
    left = saved.get("about", {})
    differing = [name for name in {**left, **about} if left.get(name) != about.get(name)]
    if differing:
        said = ", ".join(f"{name} was {left.get(name)!r} and is {about.get(name)!r}" for name in differing)
        raise UserError(
            f"checkpoint {path} belongs to another training: {said}; use its settings, or remove {path} to begin anew"
        )
    step.net.load_state_dict(saved["weights"])
    step.optimizer.load_state_dict(saved["optimizer"])
    position = saved["position"]
    return Position(**{**position, "history": tuple(Epoch(**epoch) for epoch in position["history"])})
