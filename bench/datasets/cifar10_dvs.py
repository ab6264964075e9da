"""CIFAR10-DVS: 10,000 moving images of CIFAR-10 recorded by an event camera of 128x128 pixels; official zips of AEDAT 2.0 files.

Layout below the data root, as in SpikingJelly: ``CIFAR10DVS/download/airplane.zip`` ... ``truck.zip``. The set has no official
split. As in SpikingJelly, the first nine tenths of each class, in alphabetical order of file names, are for training and the rest
for testing. Orientation and polarity are SpikingJelly's too.
"""

from __future__ import annotations

import math
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.datasets import store
from bench.datasets.event_array import table
from bench.datasets.events import Events, Recordings, addresses, readable, reader
from bench.errors import Support

if TYPE_CHECKING:
    from bench.datasets.event_array import EventArray

FOLDER = "CIFAR10DVS/download"
_SITE = "https://ndownloader.figshare.com/files/"
_CLASSES = {  # in order of labels: number of the file on the site, md5
    "airplane": ("7712788", "0afd5c4bf9ae06af762a77b180354fdd"),
    "automobile": ("7712791", "8438dfeba3bc970c94962d995b1b9bdd"),
    "bird": ("7712794", "a9c207c91c55b9dc2002dc21c684d785"),
    "cat": ("7712812", "52c63c677c2b15fa5146a8daf4d56687"),
    "deer": ("7712815", "b6bf21f6c04d21ba4e23fc3e36c8a4a3"),
    "dog": ("7712818", "f379ebdf6703d16e0a690782e62639c3"),
    "frog": ("7712842", "cad6ed91214b1c7388a5f6ee56d08803"),
    "horse": ("7712851", "e7cbbf77bec584ffbf913f00e682782a"),
    "ship": ("7712836", "41c7bd7d6b251be82557c6cce9a7d5c9"),
    "truck": ("7712839", "89f3922fd147d9aeff89e76a2b0b70a7"),
}


@dataclass(frozen=True)
class Cifar10Dvs:
    """CIFAR10-DVS, given the md5 of the archive of each class."""

    md5: Mapping[str, str] = field(default_factory=lambda: {name: md5 for name, (_, md5) in _CLASSES.items()})

    def available(self, root: Path) -> Support:
        if not all(_archive(root, name).exists() for name in self.md5):
            return store.not_found("CIFAR10-DVS", FOLDER, "let it be downloaded")
        return readable()

    def load(self, root: Path, download: bool, cache: Path) -> Events:
        """Read only the lists of members, and the archives once for their checksums; events are read later."""
        import torch

        reader()
        for name, md5 in self.md5.items():
            archive = _archive(root, name)
            store.verified(store.fetched(archive, _SITE + _CLASSES[name][0], md5, download), md5)
        checksum = store.identity(self.md5)
        train, test = (self._split(root, cache, split, checksum) for split in ("train", "test"))
        return Events(
            name="cifar10-dvs",
            kind="real",
            train=train,
            test=test,
            train_i=torch.arange(len(train.labels)),
            test_i=torch.arange(len(test.labels)),
            classes=10,
            citation="Li, Liu, Ji, Li, Shi 2017, CIFAR10-DVS: An Event-Stream Dataset for Object Classification, "
            "Frontiers in Neuroscience 11:309",
            licence="CC BY 4.0",
            checksum=checksum,
        )

    def _split(self, root: Path, cache: Path, split: str, checksum: str) -> Recordings:
        import torch

        members = [(_archive(root, name), _members(_archive(root, name), split)) for name in self.md5]
        labels = [label for label, (_, names) in enumerate(members) for _ in names]
        return Recordings(
            f"cifar10-dvs-{checksum[:16]}-{split}",
            torch.tensor(labels),
            sensor=(128, 128),
            read=partial(_events, members),
            folder=cache,
            titles=tuple(f"{archive.name}/{name}" for archive, names in members for name in names),
        )


def _archive(root: Path, name: str) -> Path:
    return root / FOLDER / f"{name}.zip"


def _members(archive: Path, split: str) -> list[str]:
    with zipfile.ZipFile(archive) as files:
        names = sorted(name for name in files.namelist() if name.endswith(".aedat"))
    first_test = math.ceil(0.9 * len(names))
    return names[:first_test] if split == "train" else names[first_test:]


def _events(members: list[tuple[Path, list[str]]]) -> Iterator[EventArray]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "recording.aedat")  # the parser needs a path
        for archive, names in members:
            with zipfile.ZipFile(archive) as files:
                for name in names:
                    path.write_bytes(files.read(name))
                    address, t = addresses(path)
                    yield table(t=t, x=127 - (address >> 8 & 127), y=127 - (address >> 1 & 127), p=1 - (address & 1))


CIFAR10_DVS = Cifar10Dvs()
