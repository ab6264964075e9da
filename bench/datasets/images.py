"""A loaded set of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from bench.spec import NetworkSpec

if TYPE_CHECKING:
    from torch import Tensor

    from bench.datasets.prepare import Preparation
    from bench.datasets.sequences import Sequences


@dataclass(frozen=True)
class Images:
    """A labelled set of images as its authors published it (see ``samples.Samples``), and its preparation as network input."""

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
    recipes: Mapping[str, Preparation] = field(default_factory=dict)  # preparations of single papers, by paper

    @property
    def part(self) -> str:
        """Empty: images are always the whole set."""
        return ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape (C, H, W) of one prepared sample, the input of a network."""
        return self.preparation.shape(*self.train_x.shape[-2:])

    def chosen(self, train: Tensor, test: Tensor, checksum: str) -> Images:
        return replace(
            self,
            train_x=self.train_x[train],
            train_y=self.train_y[train],
            test_x=self.test_x[test],
            test_y=self.test_y[test],
            checksum=checksum,
        )

    def held_out(self, indices: Tensor, checksum: str) -> Images:
        """Return the set with these training images in the place of the test images, and no longer among those for training."""
        import torch

        rest = torch.ones(len(self.train_y), dtype=torch.bool)
        rest[indices] = False
        return replace(
            self,
            train_x=self.train_x[rest],
            train_y=self.train_y[rest],
            test_x=self.train_x[indices],
            test_y=self.train_y[indices],
            checksum=checksum,
        )

    def prepared(self, recipe: str) -> Images:
        """Return the images with the preparation of a paper's recipe, one of ``recipes``."""
        return replace(self, preparation=self.recipes[recipe])

    def over_time(self, network: NetworkSpec) -> Sequences:
        from bench.datasets.sequences import PoissonTrains, StaticImages

        return StaticImages(self) if network.encoding == "static" else PoissonTrains(self)
