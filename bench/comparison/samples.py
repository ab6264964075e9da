"""Labelled samples as sequences over time, from where users have them.

    from_arrays(folder)             train.npz and test.npz with arrays x [N, ...] and y [N]
    from_datasets(train, test)      PyTorch's map-style data sets of pairs (x, y)
    from_events(folder, sensor)     train/CLASS/*.npz or *.npy and test/CLASS/..., a file per recording with t, x, y and p
    of_the_suite(name)              one of the suite's own data sets, or a part of it that is balanced over the classes

``encoding`` says what x is: "repeat", an image [...] that is repeated over time, or "frames", a sequence [T, ...].
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor

from bench import datasets
from bench.datasets.event_array import table
from bench.datasets.events import Events, Frames, within
from bench.datasets.frames import binned
from bench.datasets.images import Images
from bench.errors import UserError, choose
from bench.files import existing
from bench.lift.recognition.timing import Encoding

if TYPE_CHECKING:
    from bench.datasets.event_array import EventArray


@dataclass(frozen=True)
class Split:
    """``size`` samples; ``take(rows [B], T)`` returns x, an image [B, ...] or frames [T, B, ...], and labels int64 [B]."""

    size: int
    take: Callable[[Tensor, int], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Samples:
    """``identity`` changes with the contents, as far as that is known without reading all of them."""

    name: str
    train: Split
    test: Split
    encoding: Encoding
    identity: str

    def sequence(self, split: Split, rows: Tensor, T: int) -> tuple[Tensor, Tensor]:
        """Return x [T, B, ...] and labels [B]; an image is repeated without a copy. Raises UserError for another T."""
        x, y = split.take(rows, T)
        if self.encoding == "repeat":
            return x.expand(T, *x.shape), y
        if x.shape[0] != T:
            raise UserError(f"{self.name}: its samples have {x.shape[0]} time steps, and the comparison T = {T}: set T to this")
        return x, y


class MapStyle(Protocol):
    """A data set of PyTorch whose samples have numbers."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


def from_arrays(folder: str | Path, encoding: Encoding = "repeat") -> Samples:
    """Return samples from ``folder``/train.npz and test.npz: x [N, ...] (with frames [N, T, ...]) and labels y [N] from 0 on."""
    choose("encoding", encoding, ("repeat", "frames"))
    place = existing(Path(folder), "folder of arrays", "put train.npz and test.npz, with arrays x and y, into it")
    digest = hashlib.sha256()
    splits = []
    for name in ("train", "test"):
        path = place / f"{name}.npz"
        if not path.is_file():
            raise UserError(f"{path} is not there: numpy.savez({str(path)!r}, x=samples, y=labels) writes it")
        with np.load(path) as arrays:
            missing = {"x", "y"} - set(arrays)
            if missing:
                raise UserError(f"{path} has no array {min(missing)!r}: it holds {', '.join(arrays) or 'nothing'}")
            x, y = torch.from_numpy(arrays["x"]), torch.from_numpy(arrays["y"])
        splits.append(_of_tensors(str(path), x, y, encoding))
        digest.update(path.read_bytes())
    train, test = splits
    return Samples(place.name, train, test, encoding, digest.hexdigest())


def from_datasets(train: MapStyle, test: MapStyle, encoding: Encoding = "repeat", name: str = "") -> Samples:
    """Return samples of two data sets of PyTorch; x is a tensor or an array, y a number from 0 on."""
    choose("encoding", encoding, ("repeat", "frames"))

    def split(data: MapStyle) -> Split:
        def take(rows: Tensor, T: int) -> tuple[Tensor, Tensor]:
            pairs = [data[int(row)] for row in rows]
            x = torch.stack([torch.as_tensor(np.asarray(x) if not isinstance(x, Tensor) else x) for x, _ in pairs]).float()
            y = torch.tensor([int(y) for _, y in pairs])
            return (x.transpose(0, 1) if encoding == "frames" else x), y

        return Split(len(data), take)

    title = name or type(train).__name__
    first = [split(data).take(torch.arange(min(8, len(data))), 0) for data in (train, test)]
    digest = hashlib.sha256(repr((title, len(train), len(test))).encode())
    for x, y in first:
        digest.update(x.numpy().tobytes() + y.numpy().tobytes())
    return Samples(title, split(train), split(test), encoding, digest.hexdigest())


def from_events(folder: str | Path, sensor: tuple[int, int], size: tuple[int, int] | None = None) -> Samples:
    """Return event recordings as frames of counts [T, 2, H, W], T bins of equal length.

    ``folder``/train/CLASS/ and test/CLASS/ hold one file per recording: .npz with arrays t, x, y and p (as SpikingJelly writes
    them), or .npy with these fields (as tonic gives them); t in whole microseconds, p 0 or 1. ``sensor``: rows and columns;
    ``size``: to which they are summed.
    """
    place = existing(Path(folder), "folder of events", "put train/CLASS/ and test/CLASS/ with recordings into it")
    classes = sorted(path.name for path in (place / "train").glob("*") if path.is_dir())
    if not classes:
        raise UserError(f"{place / 'train'} has no folders: put the recordings of each class into a folder of its name")
    digest = hashlib.sha256(repr((classes, sensor, size)).encode())
    splits = []
    for part in ("train", "test"):
        files = [path for path in sorted((place / part).glob("*/*")) if path.suffix in (".npz", ".npy")]
        if not files:
            raise UserError(f"{place / part} has no recordings: files CLASS/*.npz or CLASS/*.npy with t, x, y and p")
        for path in files:
            choose(f"class in {place / part}", path.parent.name, classes)
            digest.update(f"{path.relative_to(place)} {path.stat().st_size}\n".encode())
        splits.append(_of_files(files, [classes.index(path.parent.name) for path in files], sensor, size or sensor))
    train, test = splits
    return Samples(place.name, train, test, "frames", digest.hexdigest())


def of_the_suite(name: str, train: int | None = None, test: int | None = None) -> Samples:
    """Return a data set of the suite (``spikecost list``): images, normalised and not augmented, or frames of events.

    ``train``, ``test``: how many samples, balanced over the classes; None: all. It is read from the data root, or downloaded.
    """
    found = datasets.load(name)
    if train is not None or test is not None:
        found = datasets.subset(found, train, test, "subset", name)
    if isinstance(found, Images):
        prepared = found.preparation.test
        splits = (
            Split(len(found.train_y), lambda rows, T: (prepared(found.train_x[rows]), found.train_y[rows])),
            Split(len(found.test_y), lambda rows, T: (prepared(found.test_x[rows]), found.test_y[rows])),
        )
        return Samples(name, *splits, "repeat", found.checksum)
    if isinstance(found, Events):
        frames = Frames(found, found.train.sensor)
        splits = (
            Split(len(found.train_y), lambda rows, T: (frames.train(rows, T, name), found.train_y[rows])),
            Split(len(found.test_y), lambda rows, T: (frames.test(rows, T), found.test_y[rows])),
        )
        return Samples(name, *splits, "frames", found.checksum)
    raise UserError(f"{name} is made for networks of the catalogue: use a data set of images or of events")


def _of_tensors(title: str, x: Tensor, y: Tensor, encoding: Encoding) -> Split:
    if len(x) != len(y) or not len(y):
        raise UserError(f"{title}: {len(x)} samples and {len(y)} labels; use one label per sample, and at least one sample")
    if y.dim() != 1 or y.is_floating_point() or int(y.min()) < 0:
        raise UserError(f"{title}: y has shape {list(y.shape)} and type {y.dtype}; use whole numbers from 0 on, [N]")
    at_least = 2 if encoding == "repeat" else 3
    if x.dim() < at_least:
        raise UserError(f"{title}: x has shape {list(x.shape)}; use [N, {'T, ' if encoding == 'frames' else ''}...]")

    def take(rows: Tensor, T: int) -> tuple[Tensor, Tensor]:
        chosen = x[rows].float()
        return (chosen.transpose(0, 1) if encoding == "frames" else chosen), y[rows].long()

    return Split(len(y), take)


def _of_files(files: Sequence[Path], labels: Sequence[int], sensor: tuple[int, int], size: tuple[int, int]) -> Split:
    def take(rows: Tensor, T: int) -> tuple[Tensor, Tensor]:
        frames = [torch.from_numpy(binned(_events(files[int(row)], sensor), T, sensor, size)) for row in rows]
        return torch.stack(frames, 1).float(), torch.tensor([labels[int(row)] for row in rows])

    return Split(len(files), take)


def _events(path: Path, sensor: tuple[int, int]) -> EventArray:
    """Return the events of one file as a structured array, checked."""
    loaded = np.load(path)
    held = list(loaded) if path.suffix == ".npz" else list(loaded.dtype.names or ())
    missing = [name for name in ("t", "x", "y", "p") if name not in held]
    if missing:
        raise UserError(f"{path} has no field {missing[0]!r}: it holds {', '.join(held) or 'no fields'}; use t, x, y and p")
    fields = {name: np.asarray(loaded[name]).astype(np.int64) for name in ("t", "x", "y", "p")}
    return within(table(**fields), sensor, f"recording {path}")
