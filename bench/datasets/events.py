"""A loaded set of event recordings: labels are loaded at once, events only when frames are requested."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Literal

from bench.datasets.frames import binned, cached
from bench.errors import YES, Support, Unavailable, UserError, no
from bench.spec import NetworkSpec

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray
    from torch import Tensor

    from bench.datasets.event_array import EventArray
    from bench.datasets.frames import Counts
    from bench.datasets.sequences import Sequences

READER = "tonic"
_RULE = "equal-time"  # of frames.binned; must change with it, so that cached frames of an old rule are not used


@dataclass(frozen=True, eq=False)
class Recordings:
    """One split of a set of recordings. ``read()`` yields all of them in order, see EventArray.

    ``titles``: display names of the recordings, if they have any.
    """

    name: str  # of data set, contents and split; file name of the cached frames
    labels: Tensor  # int64 [N], of all of them
    sensor: tuple[int, int]  # rows and columns
    read: Callable[[], Iterator[EventArray]]
    folder: Path  # for cached frames
    titles: tuple[str, ...] = ()

    def each(self) -> Iterator[EventArray]:
        """Yield all recordings in order. Raises UserError, naming recording, event and field, if a field is out of range."""
        for i, events in enumerate(self.read()):
            title = self.titles[i] if i < len(self.titles) else f"number {i}"
            yield within(events, self.sensor, f"recording {title} of {self.name}")


LAST_US = 2**53  # times are whole microseconds, from 0 on


def within(events: EventArray, sensor: tuple[int, int], title: str) -> EventArray:
    """Return ``events``. Raises UserError unless x and y are on the sensor (rows, columns), t >= 0, and p is 0 or 1."""
    import numpy

    for name, end in {"x": sensor[1], "y": sensor[0], "t": LAST_US, "p": 2}.items():
        values = events[name]
        outside = numpy.flatnonzero((values < 0) | (values >= end))
        if len(outside):
            first = int(outside[0])
            raise UserError(
                f"{title}: event {first} has {name} = {int(values[first])}, outside 0 to {end - 1} "
                f"({len(outside)} of {len(events)} events are); the file is damaged or from another camera"
            )
    return events


@cache  # checking cached frames reads all of them
def frames_of(recordings: Recordings, T: int, size: tuple[int, int]) -> Counts:
    """Return the event counts [N, T, 2, H, W] of all recordings, memory-mapped (see ``frames.binned``)."""

    def rows() -> Iterator[NDArray[numpy.int64]]:
        return (binned(events, T, recordings.sensor, size) for events in recordings.each())

    path = recordings.folder / f"{recordings.name}-{_RULE}-T{T}-{size[0]}x{size[1]}.npy"
    return cached(path, (len(recordings.labels), T, 2, *size), rows)


@dataclass(frozen=True)
class Events:
    """A labelled set of event recordings as its authors published it (see ``samples.Samples``).

    ``train_i`` and ``test_i`` are the indices of its samples among all recordings.
    """

    name: str
    kind: Literal["real"]
    train: Recordings
    test: Recordings
    train_i: Tensor
    test_i: Tensor
    classes: int
    citation: str
    licence: str
    checksum: str
    part: str = ""

    @property
    def train_y(self) -> Tensor:
        return self.train.labels[self.train_i]

    @property
    def test_y(self) -> Tensor:
        return self.test.labels[self.test_i]

    def chosen(self, train: Tensor, test: Tensor, checksum: str) -> Events:
        return replace(self, train_i=self.train_i[train], test_i=self.test_i[test], checksum=checksum)

    def over_time(self, network: NetworkSpec) -> Sequences:
        """Return frames of the network's height and width if the sensor is at least as large, else of the sensor's."""
        sensor = self.train.sensor
        size = network.input[-2:]
        fits = len(network.input) == 3 and all(n <= n0 for n, n0 in zip(size, sensor, strict=True))
        return Frames(self, (size[0], size[1]) if fits else sensor)


@dataclass(frozen=True)
class Frames:
    """One frame of event counts per time step, one channel per polarity. Not random: ``names`` are ignored."""

    events: Events
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, ...]:
        return (2, *self.size)

    def train(self, chosen: Tensor, T: int, *names: object) -> Tensor:
        return self._counts(self.events.train, self.events.train_i[chosen], T)

    def test(self, chosen: Tensor, T: int) -> Tensor:
        return self._counts(self.events.test, self.events.test_i[chosen], T)

    def _counts(self, recordings: Recordings, chosen: Tensor, T: int) -> Tensor:
        import numpy
        import torch

        counts = frames_of(recordings, T, self.size)[chosen.numpy()]
        return torch.from_numpy(numpy.ascontiguousarray(counts.swapaxes(0, 1), dtype=numpy.float32))


def readable() -> Support:
    """Return whether the library that parses event files is installed. Does not import it."""
    if importlib.util.find_spec(READER) is None:
        return no(f"{READER}, which reads event files, is not installed: pip install '.[data]'")
    return YES


def reader() -> ModuleType:
    """Return the parsers of the library. Raises Unavailable if it is not installed."""
    support = readable()
    if not support:
        raise Unavailable(support.reason, missing=READER)
    return importlib.import_module(f"{READER}.io")


def addresses(path: Path) -> tuple[NDArray[numpy.int64], NDArray[numpy.int64]]:
    """Return addresses and times (microseconds), int64 [n] each, of an AEDAT 2 or 3 file. The camera defines the addresses."""
    version, start, *_ = reader().read_aedat_header_from_file(str(path))
    found = reader().get_aer_events_from_file(str(path), version, start)
    return found["address"].astype("int64"), found["timeStamp"].astype("int64")
