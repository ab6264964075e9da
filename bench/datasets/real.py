"""Real samples for the probes that need them: a data set as the case's network takes it, in the order that names decide."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from bench import datasets, networks
from bench.datasets.sequences import Sequences, generator
from bench.options import of_probe
from bench.spec import Case, UserError


@dataclass(frozen=True)
class RealData:
    """The data set of one case. ``root`` and ``cache`` as on the command line; sizes are the case's options."""

    case: Case
    root: Path | None
    cache: Path | None = None

    @cached_property
    def samples(self) -> datasets.Samples:
        """All of the data set, or the class-balanced part of it that the case names."""
        whole = datasets.load(self.case.dataset, self.root, cache=self.cache)
        part = of_probe(self.case)
        train, test = part.train_images, part.test_images
        if train is None and test is None:
            return whole
        return datasets.subset(whole, train, test, "subset", self.case.dataset)

    @cached_property
    def sequences(self) -> Sequences:
        """The samples over time. Raises UserError if the network takes another shape than they have."""
        network = networks.spec(self.case.network)
        sequences = self.samples.over_time(network)
        if sequences.shape != network.input:
            raise UserError(f"{network.name} takes samples of shape {network.input}, {self.case.dataset} has {sequences.shape}")
        return sequences

    @property
    def about(self) -> dict[str, str]:
        """What a record says of its data beyond the case: empty unless only a part of the data set was there."""
        return {"part": self.samples.part} if self.samples.part else {}

    def sequence(self, case: Case) -> tuple[Tensor, Tensor]:
        """The first batch of training as a sequence [T, B, ...] with its targets [B]."""
        return next(self.training_batches(0, case.T, case.batch))

    def training_batches(self, epoch: int, T: int, batch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """Epoch ``epoch`` from its batch number ``start`` on: order, augmentation and encoding follow from names alone."""
        y = self.samples.train_y
        name = ("training", self.case.dataset, self.case.seed, epoch)
        order = torch.randperm(len(y), generator=generator("order", *name))
        for i in range(start, self.batches(batch)):
            chosen = order[i * batch : (i + 1) * batch]
            yield self.sequences.train(chosen, T, *name, i), y[chosen]

    def batches(self, batch: int) -> int:
        """Batches in an epoch, the last one possibly smaller."""
        return -(-len(self.samples.train_y) // batch)

    def test_batches(self, T: int, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
        y = self.samples.test_y
        for chosen in torch.arange(len(y)).split(batch):
            yield self.sequences.test(chosen, T), y[chosen]
