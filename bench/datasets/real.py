"""Real samples for probes: a data set in the form that the case's network needs, in an order seeded by names."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from bench import datasets, zoo
from bench.case import Case
from bench.datasets.images import Images
from bench.datasets.samples import balanced
from bench.datasets.sequences import Sequences, generator
from bench.errors import UserError
from bench.options import Part
from bench.seeds import seed_of


@dataclass(frozen=True)
class RealData:
    """The data set of one case. ``root`` and ``cache``: as on the command line; sizes: from the case's options."""

    case: Case
    root: Path | None
    cache: Path | None = None

    @cached_property
    def samples(self) -> datasets.Samples:
        """The whole data set, or the class-balanced part of it that the case requests."""
        samples = datasets.load(self.case.dataset, self.root, cache=self.cache)
        part = Part(**{name: value for name, value in self.case.probe_options.items() if name in Part.names()})
        if part.preparation != "usual":
            samples = _prepared(samples, part.preparation)
        if part.validation_images is not None:
            samples = _held_out(samples, part.validation_images)
        train, test = part.train_images, part.test_images
        if train is None and test is None:
            return samples
        return datasets.subset(samples, train, test, "subset", self.case.dataset)

    @cached_property
    def sequences(self) -> Sequences:
        """The samples over time. Raises UserError if the network takes samples of another shape."""
        network = zoo.spec(self.case.network)
        sequences = self.samples.over_time(network)
        if sequences.shape != network.input:
            raise UserError(f"{network.name} takes samples of shape {network.input}, {self.case.dataset} has {sequences.shape}")
        return sequences

    @property
    def about(self) -> dict[str, str]:
        """Return additional information for a record: empty unless only a part of the data set was found."""
        return {"part": self.samples.part} if self.samples.part else {}

    def sequence(self, case: Case) -> tuple[Tensor, Tensor]:
        """Return the first training batch as a sequence [T, B, ...], and its targets [B]."""
        return next(self.training_batches(0, case.T, case.batch))

    def training_batches(self, epoch: int, T: int, batch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield epoch ``epoch`` from batch ``start`` on. Order, augmentation and encoding depend only on seeds made of names."""
        y = self.samples.train_y
        name = ("training", self.case.dataset, self.case.seed, epoch)
        order = torch.randperm(len(y), generator=generator("order", *name))
        for i in range(start, self.batches(batch)):
            chosen = order[i * batch : (i + 1) * batch]
            yield self.sequences.train(chosen, T, *name, i), y[chosen]

    def batches(self, batch: int) -> int:
        """Return the number of batches in an epoch; the last one may be smaller."""
        return -(-len(self.samples.train_y) // batch)

    def test_batches(self, T: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        y = self.samples.test_y
        for chosen in torch.arange(len(y)).split(batch):
            yield self.sequences.test(chosen, T), y[chosen]


def _held_out(samples: datasets.Samples, size: int) -> datasets.Samples:
    """Return images with ``size`` of the training set in the place of the test set. Raises UserError for other samples."""
    if not isinstance(samples, Images):
        raise UserError(f"validation_images = {size}: {samples.name} has no images; leave the option out")
    if size >= len(samples.train_y):
        raise UserError(f"validation_images = {size} of {len(samples.train_y)} training images: leave some to train on")
    chosen = balanced(samples.train_y, size, seed_of("validation", samples.name))
    return samples.held_out(chosen, hashlib.sha256(f"{samples.checksum}/validation/{size}".encode()).hexdigest())


def _prepared(samples: datasets.Samples, recipe: str) -> datasets.Samples:
    """Return images with a recipe's preparation. Raises UserError if that recipe has none for them."""
    if isinstance(samples, Images) and recipe in samples.recipes:
        return samples.prepared(recipe)
    raise UserError(f"preparation = {recipe!r}: that recipe has none of its own for {samples.name}; leave the option out")
