"""CIFAR-10 and CIFAR-100: 50,000 + 10,000 colour images of 32x32, the official python batches.

Layout below the data root, as in the archives and in torchvision: ``cifar-10-batches-py/`` and ``cifar-100-python/``. An archive
found there is unpacked into the cache. Labels of CIFAR-100 are the 100 fine ones.
"""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bench import readers
from bench.datasets import store
from bench.datasets.images import Images
from bench.errors import YES, Support
from bench.files import write_whole

if TYPE_CHECKING:
    from torch import Tensor

    from bench.datasets.prepare import Preparation

Constants = tuple[float, float, float]
_SITE = "https://www.cs.toronto.edu/~kriz/"


@dataclass(frozen=True)
class Cifar:
    """One of the two sets: its files with their published md5s."""

    name: str
    title: str
    folder: str
    archive: str
    archive_md5: str
    train: Mapping[str, str]
    test: Mapping[str, str]
    labels: str
    classes: int
    constants: Mapping[str, tuple[Constants, Constants]] = field(default_factory=dict)  # mean and deviation, by paper

    @property
    def files(self) -> dict[str, str]:
        return {**self.train, **self.test}

    def available(self, root: Path) -> Support:
        if not self._missing(root) or (root / self.archive).exists():
            return YES
        return store.not_found(self.title, self.folder, f"let {self.archive} be downloaded")

    def load(self, root: Path, download: bool, cache: Path) -> Images:
        folders = self._unpacked(root, download, cache)
        return Images(
            name=self.name,
            kind="real",
            **dict(zip(("train_x", "train_y"), self.read(folders, self.train), strict=True)),
            **dict(zip(("test_x", "test_y"), self.read(folders, self.test), strict=True)),
            classes=self.classes,
            preparation=preparation(),
            recipes={paper: preparation(*constants) for paper, constants in self.constants.items()},
            citation="Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images, University of Toronto",
            licence="none stated by the authors",
            checksum=store.identity(self.files),
        )

    def read(self, folders: Mapping[str, Path], files: Mapping[str, str]) -> tuple[Tensor, Tensor]:
        """Return images uint8 [N, 3, 32, 32] and labels int64 [N] of ``files``, in order; ``folders`` is the folder by file."""
        import numpy
        import torch

        batches = [unpickled(store.checked(folders[file] / file, md5)) for file, md5 in files.items()]
        pixels = numpy.concatenate([numpy.asarray(batch["data"]) for batch in batches]).reshape(-1, 3, 32, 32)
        labels = [label for batch in batches for label in readers.wholes(batch[self.labels], self.labels)]
        return torch.from_numpy(pixels), torch.tensor(labels)

    def _missing(self, root: Path) -> list[str]:
        return [file for file in self.files if not (root / self.folder / file).exists()]

    def _unpacked(self, root: Path, download: bool, cache: Path) -> dict[str, Path]:
        """Return the folder of each file: in the data root, or in the cache if only the archive has it."""
        missing = self._missing(root)
        folders = dict.fromkeys(self.files, root / self.folder) | dict.fromkeys(missing, cache / self.folder)
        missing = [file for file in missing if not (folders[file] / file).exists()]
        if missing:
            archive = store.fetched(root / self.archive, _SITE + self.archive, self.archive_md5, download)
            with tarfile.open(fileobj=io.BytesIO(store.checked(archive, self.archive_md5))) as members:
                for file in missing:  # only these members, to paths that the archive cannot choose
                    member = members.extractfile(f"{self.folder}/{file}")
                    assert member is not None, "a checked archive holds its files"
                    write_whole(folders[file] / file, member.read(), store.OTHER_CACHE)
        return folders


MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)  # of CIFAR-10, as in the papers' codes


def preparation(mean: Constants = MEAN, std: Constants = STD) -> Preparation:
    """Return the preparation of OTTT and SLTT (public codes): crop, cutout, flip, normalisation.

    OTTT normalises CIFAR-100 by the constants of CIFAR-10 too, SLTT by its own.
    """
    from bench.datasets.prepare import Cutout, Preparation

    return Preparation(pad=4, cutout=Cutout(), flip=0.5, mean=mean, std=std)


def unpickled(contents: bytes) -> dict[str, object]:
    """Return the dictionary of a batch. Raises pickle.UnpicklingError for anything but numpy arrays in plain containers."""
    batch: dict[str, object] = _ArraysOnly(io.BytesIO(contents), encoding="latin1").load()
    return batch


class _ArraysOnly(pickle.Unpickler):
    """Resolves only the three names that a pickled numpy array needs."""

    def find_class(self, module: str, name: str) -> object:
        import numpy

        array_maker: object = numpy.empty(0).__reduce__()[0]
        match module, name:
            case ("numpy.core.multiarray" | "numpy._core.multiarray", "_reconstruct"):
                return array_maker
            case "numpy", "ndarray":
                return numpy.ndarray
            case "numpy", "dtype":
                return lambda code, align, copy: numpy.dtype(code, align=bool(align), copy=bool(copy))
        raise pickle.UnpicklingError(f"{module}.{name} is not part of a batch of images")


CIFAR10 = Cifar(
    name="cifar10",
    title="CIFAR-10",
    folder="cifar-10-batches-py",
    archive="cifar-10-python.tar.gz",
    archive_md5="c58f30108f718f92721af3b95e74349a",
    train={
        "data_batch_1": "c99cafc152244af753f735de768cd75f",
        "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
        "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
        "data_batch_4": "634d18415352ddfa80567beed471001a",
        "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    },
    test={"test_batch": "40351d587109b95175f43aff81a1287e"},
    labels="labels",
    classes=10,
)

CIFAR100 = Cifar(
    name="cifar100",
    title="CIFAR-100",
    folder="cifar-100-python",
    archive="cifar-100-python.tar.gz",
    archive_md5="eb9058c3a382ffc7106e4002c42a8d85",
    train={"train": "16019d7e3df5f24257cddd939b257f8d"},
    test={"test": "f0ef6b0ae62326f3e7ffdfab6717acfc"},
    labels="fine_labels",
    classes=100,
    constants={"sltt": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))},
)
