"""Frames of events, kept on disk: made once for every process that wants them, and never believed without their checksum.

A kept array is an .npy file with the sha256 of its bytes after it: one file, which is there whole or not at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.datasets import store
from bench.spec import UserError

if TYPE_CHECKING:
    import numpy
    from numpy.typing import NDArray

    Array = NDArray[Any]

COUNTS = ("uint8", "uint16", "uint32")  # the narrowest that holds every count
_CHUNK = 1 << 22


def binned(events: Array, T: int, sensor: tuple[int, int], size: tuple[int, int]) -> Array:
    """Events with fields t, x, y, p of one recording -> how many fell into each cell, int64 [T, 2, H, W].

    Time: T bins of equal length from the first event's time t0 to the last one's t1, so bin floor((t - t0) T / (t1 - t0 + 1)).
    Space: ``sensor`` (H0, W0) is summed down to ``size`` (H, W), so row floor(y H / H0) and column floor(x W / W0).
    Channel: the polarity p, 0 or 1. Every event is counted once. Raises ValueError for one outside the sensor.
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


def kept(path: Path, shape: tuple[int, ...], rows: Callable[[], Iterator[Array]]) -> Array:
    """The array at ``path``, memory-mapped; made of ``rows()`` if it is not there or not what was written.

    ``shape`` is the whole's, its first entry the number of rows; the type is the narrowest of ``COUNTS``. Raises UserError if
    it cannot be written.
    """
    import filelock

    found = _believed(path, shape)
    if found is not None:
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(path.with_name(f".{path.name}.lock")):  # several cases may want it at once
            found = _believed(path, shape)
            if found is None:
                _write(path, shape, rows)
                found = _believed(path, shape)
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}; {store.OTHER_CACHE}") from error
    assert found is not None, "what was just written is whole"
    return found


def _believed(path: Path, shape: tuple[int, ...]) -> numpy.memmap[Any, Any] | None:
    """The array if it is there, can be read, and is whole, unchanged and of this shape."""
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
    array: numpy.memmap[Any, Any] = numpy.load(path, mmap_mode="r")
    return array if array.shape == shape else None


def _write(path: Path, shape: tuple[int, ...], rows: Callable[[], Iterator[Array]]) -> None:
    """Write beside, then rename; from the start again in a wider type when a count does not fit."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        for dtype in COUNTS:
            if _written(draft, shape, dtype, rows()):
                draft.replace(path)
                return
        raise OverflowError(f"{path}: a count above 32 bits")
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _written(draft: Path, shape: tuple[int, ...], dtype: str, rows: Iterator[Array]) -> bool:
    """Whether all rows fit ``dtype`` and are in the file now, with their checksum."""
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
