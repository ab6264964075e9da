"""Samples as sequences over time, the input of networks. Random choices are seeded by names (bench.seeds.seed_of).

| samples | network's encoding | sequence |
|---|---|---|
| images | static | ``StaticImages``: the prepared image at every step |
| images | frames | ``PoissonTrains``: signed spikes with a rate given by the prepared pixel |
| events | any | ``events.Frames``: one frame of event counts per step |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Generator, Tensor

from bench.seeds import seed_of

if TYPE_CHECKING:
    from bench.datasets.prepare import Preparation


class Sequences(Protocol):
    """Samples in the form of one network's input. ``chosen`` are indices [B] into the training or the test samples.

    ``names`` seed all random choices of a training batch; a test sample is always the same.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one sample at one time step."""

    def train(self, chosen: Tensor, T: int, *names: object) -> Tensor:
        """float32 [T, B, ...]."""

    def test(self, chosen: Tensor, T: int) -> Tensor:
        """float32 [T, B, ...]."""


class ImageSource(Protocol):
    """What a sequence of images is made of (``images.Images``)."""

    @property
    def name(self) -> str: ...

    @property
    def train_x(self) -> Tensor: ...

    @property
    def test_x(self) -> Tensor: ...

    @property
    def preparation(self) -> Preparation: ...

    @property
    def shape(self) -> tuple[int, int, int]: ...


@dataclass(frozen=True)
class StaticImages:
    """The same image at every step."""

    images: ImageSource

    @property
    def shape(self) -> tuple[int, ...]:
        return self.images.shape

    def train(self, chosen: Tensor, T: int, *names: object) -> Tensor:
        return static(_augmented(self.images, chosen, names), T)

    def test(self, chosen: Tensor, T: int) -> Tensor:
        return static(self.images.preparation.test(self.images.test_x[chosen]), T)


@dataclass(frozen=True)
class PoissonTrains:
    """For a prepared image x: s[t] = sign(x) with probability min(1, |x| / scale), else 0, independently at each step.

    As in the public code of hybrid conversion (Rathi et al. 2020), whose scale is 1. The spikes of test sample i depend on i and
    the name of the data set alone: they are the same in every epoch, for every seed and for every batch size.
    """

    images: ImageSource
    scale: float = 1.0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.images.shape

    def train(self, chosen: Tensor, T: int, *names: object) -> Tensor:
        return poisson(_augmented(self.images, chosen, names), T, self.scale, generator("encoding", *names))

    def test(self, chosen: Tensor, T: int) -> Tensor:
        x = self.images.preparation.test(self.images.test_x[chosen])
        generators = (generator("encoding", "test", self.images.name, int(i)) for i in chosen)
        return torch.stack([poisson(image, T, self.scale, g) for image, g in zip(x, generators, strict=True)], 1)


def static(x: Tensor, T: int) -> Tensor:
    """The same image at every time step: [B, ...] -> [T, B, ...] without a copy."""
    return x.expand(T, *x.shape)


def poisson(x: Tensor, T: int, scale: float, generator: Generator) -> Tensor:
    """Return signed spikes {-1, 0, 1} float32 [T, ...] of ``x`` [...], nonzero with probability min(1, |x| / scale)."""
    spikes = torch.rand((T, *x.shape), generator=generator) < x.abs() / scale
    return spikes * x.sign()


def generator(*names: object) -> Generator:
    return torch.Generator().manual_seed(seed_of(*names))


def _augmented(images: ImageSource, chosen: Tensor, names: tuple[object, ...]) -> Tensor:
    return images.preparation.train(images.train_x[chosen], generator("augmentation", *names))
