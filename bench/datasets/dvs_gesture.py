"""DVS128 Gesture: 11 gestures of 29 people recorded by an event camera of 128x128 pixels; official archive of AEDAT 3.1 files.

Layout below the data root, as in SpikingJelly: ``DVS128Gesture/download/DvsGesture.tar.gz``, which must be downloaded by hand. A
recording is the events in one interval [start, end) of a trial's label file; gestures 1..11 are classes 0..10. The published
lists of trials give the split: training (23 people) and test (6 others).
"""

from __future__ import annotations

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.datasets import store
from bench.datasets.event_array import table
from bench.datasets.events import Events, Recordings, addresses, readable, reader
from bench.datasets.frames import cached
from bench.errors import Support, Unavailable, no

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from bench.datasets.event_array import EventArray

FOLDER = "DVS128Gesture/download"
ARCHIVE = "DvsGesture.tar.gz"
_SITE = "https://ibm.ent.box.com/s/3hiq58ww1pbbjrinh367ykfdf60xsfm8/folder/50167556794"
_INSIDE = "DvsGesture"
_BY_HAND = f"get {ARCHIVE} from {_SITE} and set {store.VARIABLE} to the folder that holds {FOLDER}/"


@dataclass(frozen=True)
class DvsGesture:
    """DVS128 Gesture, given the archive's md5 and the number of recordings per split."""

    md5: str = "8a5c71fb11e24e5ca5b11866ca6c00a1"
    train: int = 1176
    test: int = 288

    def available(self, root: Path) -> Support:
        if not (root / FOLDER / ARCHIVE).exists():
            return no(f"DVS128 Gesture is not under the data root: {_BY_HAND}")
        return readable()

    def load(self, root: Path, download: bool, cache: Path) -> Events:
        """Load the labels; they are inside the archive, so they are read once and cached."""
        import torch

        reader()
        archive = root / FOLDER / ARCHIVE
        if not archive.exists():
            refused = "" if download else " and downloading was refused"
            raise Unavailable(f"{archive} is missing{refused}; it cannot be downloaded automatically: {_BY_HAND}")
        checksum = store.identity({ARCHIVE: store.verified(archive, self.md5)})
        train, test = (self._split(root, cache, split, checksum) for split in ("train", "test"))
        return Events(
            name="dvs-gesture",
            kind="real",
            train=train,
            test=test,
            train_i=torch.arange(self.train),
            test_i=torch.arange(self.test),
            classes=11,
            citation="Amir et al. 2017, A Low Power, Fully Event-Based Gesture Recognition System, CVPR",
            licence="CC BY 4.0, IBM",
            checksum=checksum,
        )

    def _split(self, root: Path, cache: Path, split: str, checksum: str) -> Recordings:
        import torch

        archive, name = root / FOLDER / ARCHIVE, f"dvs-gesture-{checksum[:16]}-{split}"
        count = self.train if split == "train" else self.test
        labels = cached(cache / f"{name}-labels.npy", (count,), lambda: _labels(archive, split, cache))
        read = partial(_events, archive, split, cache)
        return Recordings(name, torch.tensor(labels.tolist()), sensor=(128, 128), read=read, folder=cache)


def _labels(archive: Path, split: str, cache: Path) -> Iterator[NDArray[numpy.int64]]:
    with _unpacked(archive, cache, (".csv", ".txt")) as folder:
        for trial in _trials(folder, split):
            yield from (row[0] - 1 for row in _intervals(trial))


def _events(archive: Path, split: str, cache: Path) -> Iterator[EventArray]:
    with _unpacked(archive, cache, (".aedat", ".csv", ".txt")) as folder:
        for trial in _trials(folder, split):
            address, t = addresses(trial)
            events = table(t=t, x=address >> 17 & 0x1FFF, y=address >> 2 & 0x1FFF, p=address >> 1 & 1)
            for _, start, end in _intervals(trial):
                yield events[(t >= start) & (t < end)]


@contextmanager
def _unpacked(archive: Path, cache: Path, kinds: tuple[str, ...]) -> Iterator[Path]:
    """Unpack the archive's files with these endings into a temporary folder in the cache (all files: 5 GB)."""
    with tempfile.TemporaryDirectory(dir=cache) as folder, tarfile.open(archive) as members:
        members.extractall(folder, (member for member in members if member.name.endswith(kinds)), filter="data")
        yield Path(folder, _INSIDE)


def _trials(folder: Path, split: str) -> list[Path]:
    return [folder / line.strip() for line in (folder / f"trials_to_{split}.txt").read_text().splitlines() if line.strip()]


def _intervals(trial: Path) -> NDArray[numpy.int64]:
    """Return rows of gesture, start and end in microseconds, int64 [n, 3]."""
    import numpy

    return numpy.loadtxt(trial.with_name(f"{trial.stem}_labels.csv"), dtype=numpy.int64, delimiter=",", skiprows=1, ndmin=2)


DVS_GESTURE = DvsGesture()
