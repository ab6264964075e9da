"""Real samples for the probes that need them: a data set, its preparation, and sequences in the order that names decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from bench import datasets
from bench.spec import Case, seed_of


@dataclass(frozen=True)
class RealData:
    """The data set of one case. ``root`` as given on the command line; ``train``/``test`` sizes are the case's options."""

    case: Case
    root: Path | None

    @cached_property
    def images(self) -> datasets.Images:
        """All of the data set, or the class-balanced part of it that the case names."""
        whole = datasets.load(self.case.dataset, self.root)
        train, test = self.case.settings.get("train_images"), self.case.settings.get("test_images")
        if train is None and test is None:
            return whole
        return datasets.subset(whole, train, test, "subset", self.case.dataset)

    def sequence(self, case: Case) -> tuple[Tensor, Tensor]:
        """The first batch of training as a sequence [T, B, ...] with its targets [B]."""
        return next(self.training_batches(0, case.T, case.batch))

    def training_batches(self, epoch: int, T: int, batch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Epoch ``epoch`` from its batch number ``start`` on: order and augmentation follow from names alone."""
        images = self.images
        name = ("training", self.case.dataset, self.case.seed, epoch)
        order = torch.randperm(len(images.train_y), generator=_generator("order", *name))
        for i in range(start, self.batches(batch)):
            chosen = order[i * batch : (i + 1) * batch]
            x = images.preparation.train(images.train_x[chosen], _generator("augmentation", *name, i))
            yield static(x, T), images.train_y[chosen]

    def batches(self, batch: int) -> int:
        """Batches in an epoch, the last one possibly smaller."""
        return -(-len(self.images.train_y) // batch)

    def test_batches(self, T: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        images = self.images
        for x, y in zip(images.test_x.split(batch), images.test_y.split(batch), strict=True):
            yield static(images.preparation.test(x), T), y


def static(x: Tensor, T: int) -> Tensor:
    """The same image at every time step: [B, ...] -> [T, B, ...] without a copy."""
    return x.expand(T, *x.shape)


def _generator(*names: object) -> torch.Generator:
    return torch.Generator().manual_seed(seed_of(*names))
