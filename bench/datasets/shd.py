"""SHD, Spiking Heidelberg Digits: 8,156 + 2,264 recordings of spoken digits by 700 channels of an artificial cochlea, 20 classes.

Layouts below the data root: ``SHD/shd_train.h5`` and ``SHD/shd_test.h5``, as tonic leaves them, or their official archives
``SHD/shd_train.h5.zip`` and ``SHD/shd_test.h5.zip``, which are unpacked into the cache. A file in HDF5 has

    labels         [N]                    0 .. 19
    spikes/times   [N] of different lengths, seconds
    spikes/units   [N] of different lengths, channels 0 .. 699

Checksums are published for the archives alone; of a file that is there without its archive the number of recordings is checked.

A sample is the number of spikes of each channel in T bins of equal length, from its first spike to its last: bin
floor((t - t0) T / (t1 - t0 + 1)), t in microseconds. Every spike counts. tonic, which OTPE's code uses, makes bins of
floor((t1 - t0) / T), so that its last few spikes may be left out.
"""

from __future__ import annotations

import importlib
import importlib.util
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.datasets import store
from bench.datasets.frames import binned, cached
from bench.errors import YES, Support, Unavailable, UserError, no
from bench.files import write_whole
from bench.spec import NetworkSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from bench.datasets.frames import Counts
    from bench.datasets.sequences import Sequences

FOLDER, CHANNELS, CLASSES = "SHD", 700, 20
RECORDINGS = {"train": 8156, "test": 2264}
_SITE = "https://zenkelab.org/datasets/"
_MD5 = {"train": "f3252aeb598ac776c1b526422d90eecb", "test": "1503a5064faa34311c398fb0a1ed0a6f"}  # of the archives
_RULE = "equal-time"  # must change with the bins, so that cached counts of an old rule are not used


@dataclass(frozen=True, eq=False)
class Recordings:
    """One split: its HDF5 file, the labels [N] of its recordings, and the folder of the cached counts."""

    file: Path
    labels: Tensor
    folder: Path
    checksum: str

    def counts(self, T: int) -> Counts:
        """Spikes of each channel in each bin, [N, T, 700], memory-mapped."""
        path = self.folder / f"shd-{self.checksum[:16]}-{_RULE}-T{T}.npy"
        return cached(path, (len(self.labels), T, CHANNELS), lambda: self._rows(T))

    def _rows(self, T: int) -> Iterator[NDArray[Any]]:
        import numpy

        with _h5py().File(self.file) as file:
            for i, (times, units) in enumerate(zip(file["spikes/times"], file["spikes/units"], strict=True)):
                if len(times) != len(units) or (len(units) and int(units.max()) >= CHANNELS):
                    raise UserError(
                        f"recording {i} of {self.file} has {len(times)} times and {len(units)} channels "
                        f"up to {units.max(initial=0)}; the file is damaged or not SHD, whose channels are 0 to {CHANNELS - 1}"
                    )
                events = numpy.zeros(len(times), [("t", "i8"), ("x", "i8"), ("y", "i8"), ("p", "i8")])
                events["t"], events["x"] = times.astype(numpy.float64) * 1e6, units
                yield binned(events, T, (1, CHANNELS), (1, CHANNELS))[:, 0, 0]


@dataclass(frozen=True, eq=False)
class Digits:
    """The loaded set (see ``samples.Samples``). ``train_i`` and ``test_i``: indices of its samples among all recordings."""

    train: Recordings
    test: Recordings
    train_i: Tensor
    test_i: Tensor
    checksum: str
    name: str = "shd"
    classes: int = CLASSES
    kind: Literal["real"] = "real"
    part: str = ""
    citation: str = "Cramer, Stradmann, Schemmel, Zenke 2020, IEEE Transactions on Neural Networks and Learning Systems"
    licence: str = "CC BY 4.0"

    @property
    def train_y(self) -> Tensor:
        return self.train.labels[self.train_i]

    @property
    def test_y(self) -> Tensor:
        return self.test.labels[self.test_i]

    def chosen(self, train: Tensor, test: Tensor, checksum: str) -> Digits:
        return replace(self, train_i=self.train_i[train], test_i=self.test_i[test], checksum=checksum)

    def over_time(self, network: NetworkSpec) -> Sequences:
        return Counted(self)


@dataclass(frozen=True)
class Counted:
    """Spike counts of each channel in each of T bins. Not random: ``names`` are ignored."""

    of: Digits

    @property
    def shape(self) -> tuple[int, ...]:
        return (CHANNELS,)

    def train(self, chosen: Tensor, T: int, *names: object) -> Tensor:
        return _steps(self.of.train, self.of.train_i[chosen], T)

    def test(self, chosen: Tensor, T: int) -> Tensor:
        return _steps(self.of.test, self.of.test_i[chosen], T)


def _steps(recordings: Recordings, chosen: Tensor, T: int) -> Tensor:
    import numpy
    import torch

    counts = recordings.counts(T)[chosen.numpy()]
    return torch.from_numpy(numpy.ascontiguousarray(counts.swapaxes(0, 1), dtype=numpy.float32))


# --------------------------------------------------------------------------- files


def available(root: Path) -> Support:
    if not all(any(path.exists() for path in _places(root, split)) for split in RECORDINGS):
        return store.not_found("SHD", FOLDER, f"let it be downloaded from {_SITE}")
    if importlib.util.find_spec("h5py") is None:
        return no("h5py, which reads SHD's files, is not installed: pip install '.[data]'")
    return YES


def load(root: Path, download: bool, cache: Path) -> Digits:
    """Load the labels; spikes are read when counts are asked for, once for each T, and kept in the cache."""
    import torch

    train, test = (_recordings(root, split, download, cache) for split in RECORDINGS)
    checksum = store.identity({"train": train.checksum, "test": test.checksum})
    return Digits(train, test, torch.arange(len(train.labels)), torch.arange(len(test.labels)), checksum)


def _places(root: Path, split: str) -> tuple[Path, Path]:
    """The file and its archive."""
    file = root / FOLDER / f"shd_{split}.h5"
    return file, file.with_name(f"{file.name}.zip")


def _recordings(root: Path, split: str, download: bool, cache: Path) -> Recordings:
    import hashlib

    import torch

    file, archive = _places(root, split)
    if not file.exists():
        file = _unpacked(store.fetched(archive, _SITE + archive.name, _MD5[split], download), split, cache)
    with _h5py().File(file) as content:
        labels = torch.from_numpy(content["labels"][()].astype("int64"))
        lengths = [len(each) for each in content["spikes/units"]]
    if len(labels) != RECORDINGS[split] or len(lengths) != len(labels):
        raise UserError(
            f"{file} has {len(labels)} labels and {len(lengths)} recordings, the official one {RECORDINGS[split]}: it is "
            "damaged or another set; delete it and let it be downloaded"
        )
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < CLASSES:
        raise UserError(f"{file} has labels from {int(labels.min())} to {int(labels.max())}; those of SHD are 0 to {CLASSES - 1}")
    checksum = hashlib.sha256(f"{split} {labels.tolist()} {lengths}".encode()).hexdigest()
    return Recordings(file, labels, cache, checksum)


def _unpacked(archive: Path, split: str, cache: Path) -> Path:
    """Return the file from the checked archive, unpacked into the cache if it is not there yet."""
    file = cache / FOLDER / archive.name.removesuffix(".zip")
    if not file.exists():
        store.verified(archive, _MD5[split])
        with zipfile.ZipFile(archive) as content:  # only this member, to a path that the archive cannot choose
            write_whole(file, content.read(file.name), store.OTHER_CACHE)
    return file


def _h5py() -> Any:  # an untyped library
    if importlib.util.find_spec("h5py") is None:
        raise Unavailable("h5py, which reads SHD's files, is not installed: pip install '.[data]'", missing="h5py")
    return importlib.import_module("h5py")
