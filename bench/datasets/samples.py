"""What every loaded data set is, images or events, and how a smaller one is cut from it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

from bench.spec import NetworkSpec, Support, UserError, seed_of

if TYPE_CHECKING:
    from torch import Tensor

    from bench.datasets.sequences import Sequences


class Samples(Protocol):
    """A labelled set of real samples as its authors published it.

    ``checksum`` is a sha256 that names the contents: equal checksums are equal samples and labels in equal order.
    ``part`` is empty for the whole set; a part of it, of which no number is one on the set, says here what it is.
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
        """The samples of these indices alone, in this order, under a checksum of their own."""

    def over_time(self, network: NetworkSpec) -> Sequences:
        """The samples as ``network`` takes them; the shape may still be another than the network's."""


Kind = TypeVar("Kind", bound=Samples)


class Source(Protocol):
    """Where a data set comes from."""

    def available(self, root: Path) -> Support: ...

    def load(self, root: Path, download: bool, cache: Path) -> Samples: ...


def subset(samples: Kind, train: int | None, test: int | None, *seed_names: object) -> Kind:
    """``train`` and ``test`` of ``samples``, as many of every class as can be (None: all of them).

    The choice follows from ``seed_names`` alone, keeps the order of the whole, and is nested: the smaller of two parts
    with the same names lies within the larger. Raises UserError for a size below 1 or above the number of samples.
    """
    kept_train = _chosen(samples, "train", samples.train_y, train, seed_names)
    kept_test = _chosen(samples, "test", samples.test_y, test, seed_names)
    contents = hashlib.sha256(samples.checksum.encode())
    for kept in (kept_train, kept_test):
        contents.update(b"/" + kept.numpy().tobytes())
    return samples.chosen(kept_train, kept_test, contents.hexdigest())


def balanced(labels: Tensor, size: int, seed: int) -> Tensor:
    """Indices of ``size`` samples, ascending: in an order drawn from ``seed``, every class's first, then second, ..."""
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
