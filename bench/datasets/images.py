"""What a loaded data set is, and how a smaller one is cut from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

from bench.spec import Support, UserError, seed_of

if TYPE_CHECKING:
    from torch import Tensor

    from bench.datasets.prepare import Preparation


@dataclass(frozen=True)
class Images:
    """A labelled set of images as its authors published it; ``preparation`` makes network input of it.

    ``checksum`` is a sha256 that names the contents: equal checksums are equal images and labels in equal order.
    """

    name: str
    kind: Literal["real"]
    train_x: Tensor  # uint8 [N, C, H, W]
    train_y: Tensor  # int64 [N]
    test_x: Tensor  # uint8 [M, C, H, W]
    test_y: Tensor  # int64 [M]
    classes: int
    preparation: Preparation
    citation: str
    licence: str
    checksum: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of one prepared sample: what a network is given."""
        return self.preparation.shape(*self.train_x.shape[-2:])


class Source(Protocol):
    """Where a data set comes from."""

    def available(self, root: Path) -> Support: ...

    def load(self, root: Path, download: bool) -> Images: ...


def subset(images: Images, train: int | None, test: int | None, *seed_names: object) -> Images:
    """``train`` and ``test`` samples of ``images``, as many of every class as can be (None: all of them).

    The choice follows from ``seed_names`` alone, keeps the order of the whole, and is nested: the smaller of two parts
    with the same names lies within the larger. Raises UserError for a size below 1 or above the number of samples.
    """
    kept_train = _chosen(images, "train", images.train_y, train, seed_names)
    kept_test = _chosen(images, "test", images.test_y, test, seed_names)
    contents = hashlib.sha256(images.checksum.encode())
    for kept in (kept_train, kept_test):
        contents.update(b"/" + kept.numpy().tobytes())
    return replace(
        images,
        train_x=images.train_x[kept_train],
        train_y=images.train_y[kept_train],
        test_x=images.test_x[kept_test],
        test_y=images.test_y[kept_test],
        checksum=contents.hexdigest(),
    )


def balanced(labels: Tensor, size: int, seed: int) -> Tensor:
    """Indices of ``size`` samples, ascending: in an order drawn from ``seed``, every class's first, then second, ..."""
    import torch

    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    by_class = order[labels[order].argsort(stable=True)]
    counts = labels.bincount()
    rank_in_class = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[labels[by_class]]
    turn = rank_in_class * len(counts) + labels[by_class]
    return by_class[turn.argsort()[:size]].sort().values


def _chosen(images: Images, split: str, labels: Tensor, size: int | None, seed_names: tuple[object, ...]) -> Tensor:
    size = len(labels) if size is None else size
    if not 1 <= size <= len(labels):
        raise UserError(f"{size} {split} images of {images.name}: it has {len(labels)}; ask for 1 to {len(labels)}")
    return balanced(labels, size, seed_of(*seed_names, split))
