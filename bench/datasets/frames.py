"""Frames of events, cached on disk: computed once for all processes, and checked by a checksum when read.

A cached array is an .npy file followed by the sha256 of its bytes. It is one file, which exists completely or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench.datasets import store
from bench.errors import UserError

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    from bench.datasets.event_array import EventArray

    Counts = NDArray[numpy.unsignedinteger]
    Row = NDArray[numpy.int64]

COUNTS = ("uint8", "uint16", "uint32")  # the narrowest that can hold every count is used
_CHUNK = 1 << 22


def binned(events: EventArray, T: int, sensor: tuple[int, int], size: tuple[int, int]) -> Row:
    """Return the number of events (fields t, x, y, p) of one recording in each cell, int64 [T, 2, H, W].

    Time: T bins of equal length from the first event t0 to the last t1: bin floor((t - t0) T / (t1 - t0 + 1)).
    Space: ``sensor`` (H0, W0) is summed to ``size`` (H, W): row floor(y H / H0), column floor(x W / W0).
    Channel: polarity p, 0 or 1. Every event counts once. Raises ValueError for an event outside the sensor.
    """
    import numpy

    shape = (T, 2, *size)
    if not len(events):
        return numpy.zeros(shape, numpy.int64)
    t, x, y, p = (events[name].astype(numpy.int64) for name in ("t", "x", "y", "p"))
    t -= t.min()
    cells = (t * T // (t.max() + 1), p, y * size[0] // sensor[0], x * size[1] // sensor[1])
    counts = numpy.bincount(numpy.ravel_multi_index(cells, shape), minlength=T * 2 * size[0] * size[1])
    return counts.reshape(shape)


def cached(path: Path, shape: tuple[int, ...], rows: Callable[[], Iterator[Row]]) -> Counts:
    """Return the array cached at ``path``, memory-mapped; write it from ``rows()`` if it is missing or damaged.

    ``shape`` is that of the whole array, with the number of rows first; the type is the narrowest of ``COUNTS`` that suffices.
    Raises UserError if the file cannot be written.
    """
    import filelock

    found = _intact(path, shape)
    if found is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_name(f".{path.name}.lock")):  # several processes may request it at once
            found = _intact(path, shape)
            if found is None:
                _write(path, shape, rows)
                found = _intact(path, shape)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}; {store.OTHER_CACHE}") from error
    assert found is not None, "what was just written is whole"
    return found


def _intact(path: Path, shape: tuple[int, ...]) -> Counts | None:
    """Return the array if the file exists, is readable, complete and unchanged, and has this shape; else None."""
    import numpy

    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            left = os.fstat(file.fileno()).st_size - digest.digest_size
            while left > 0:
                chunk = file.read(min(_CHUNK, left))
                digest.update(chunk)
                left -= len(chunk)
            if left < 0 or file.read() != digest.digest():
                return None
    except OSError:
        return None
    array: Counts = numpy.load(path, mmap_mode="r")
    return array if array.shape == shape else None


def _write(path: Path, shape: tuple[int, ...], rows: Callable[[], Iterator[Row]]) -> None:
    """Write to a temporary file, then rename it; start again with a wider type if a count does not fit."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        for dtype in COUNTS:
            if _written(draft, shape, dtype, rows()):
                draft.replace(path)
                return
        raise OverflowError(f"{path}: a count exceeds 32 bits")
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _written(draft: Path, shape: tuple[int, ...], dtype: str, rows: Iterator[Row]) -> bool:
    """Write all rows and their checksum; return False if a count does not fit ``dtype``."""
    import io

    import numpy

    header = io.BytesIO()
    description = {"descr": numpy.lib.format.dtype_to_descr(numpy.dtype(dtype)), "fortran_order": False, "shape": shape}
    numpy.lib.format.write_array_header_1_0(header, description)
    digest = hashlib.sha256(header.getvalue())
    highest = numpy.iinfo(dtype).max
    with draft.open("wb") as file:
        file.write(header.getvalue())
        count = 0
        for row in itertools.islice(rows, shape[0]):
            if row.max(initial=0) > highest:
                return False
            contents = row.astype(dtype).tobytes()
            digest.update(contents)
            file.write(contents)
            count += 1
        assert count == shape[0], f"{count} rows came, {shape[0]} were announced"
        file.write(digest.digest())
        file.flush()
        os.fsync(file.fileno())
    return True
