"""The interface of all loaded data sets, images or events, and class-balanced subsets of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from bench.errors import Support, UserError
from bench.seeds import seed_of
from bench.spec import NetworkSpec

if TYPE_CHECKING:
    from torch import Tensor

    from bench.datasets.sequences import Sequences


class Samples(Protocol):
    """A labelled set of samples as its authors published it.

    ``checksum`` is a sha256 of the contents: equal checksums mean equal samples and labels in equal order.
    ``part`` is empty for the whole set; else it describes the part, because results on a part are not results on the set.
    """

    @property
    def name(self) -> str: ...
    @property
    def part(self) -> str: ...
    @property
    def train_y(self) -> Tensor:
        """int64 [N]."""

    @property
    def test_y(self) -> Tensor:
        """int64 [M]."""

    @property
    def classes(self) -> int: ...
    @property
    def citation(self) -> str: ...
    @property
    def licence(self) -> str: ...
    @property
    def checksum(self) -> str: ...

    def chosen(self, train: Tensor, test: Tensor, checksum: str) -> Self:
        """Return the samples with these indices, in this order, with the given checksum."""

    def over_time(self, network: NetworkSpec) -> Sequences:
        """Return the samples as sequences for ``network``; their shape may still differ from the network's input."""


Kind = TypeVar("Kind", bound=Samples)


class Source(Protocol):
    """A data set that can be loaded."""

    def available(self, root: Path) -> Support: ...

    def load(self, root: Path, download: bool, cache: Path) -> Samples: ...


def subset(samples: Kind, train: int | None, test: int | None, *seed_names: object) -> Kind:
    """Return a class-balanced subset of ``train`` training and ``test`` test samples (None: all of them).

    The choice depends on ``seed_names`` alone and keeps the order of samples. It is nested: of two subsets with the same names,
    the larger contains the smaller. Raises UserError for a size below 1 or above the number of samples.
    """
    train_i = _chosen(samples, "train", samples.train_y, train, seed_names)
    test_i = _chosen(samples, "test", samples.test_y, test, seed_names)
    contents = hashlib.sha256(samples.checksum.encode())
    for indices in (train_i, test_i):
        contents.update(b"/" + indices.numpy().tobytes())
    return samples.chosen(train_i, test_i, contents.hexdigest())


def balanced(labels: Tensor, size: int, seed: int) -> Tensor:
    """Return the indices of ``size`` samples, ascending: the first of every class, the second ..., in an order drawn by seed."""
    import torch

    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    by_class = order[labels[order].argsort(stable=True)]
    counts = labels.bincount()
    rank_in_class = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[labels[by_class]]
    turn = rank_in_class * len(counts) + labels[by_class]
    return by_class[turn.argsort()[:size]].sort().values


def _chosen(samples: Samples, split: str, labels: Tensor, size: int | None, seed_names: tuple[object, ...]) -> Tensor:
    size = len(labels) if size is None else size
    if not 1 <= size <= len(labels):
        raise UserError(f"{size} {split} images of {samples.name}: it has {len(labels)}; ask for 1 to {len(labels)}")
    return balanced(labels, size, seed_of(*seed_names, split))
