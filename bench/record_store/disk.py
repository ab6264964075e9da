"""Bytes on the disk: all of them or none, and errors that name the file and the remedy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.errors import UserError


def listed(folder: Path, pattern: str) -> list[Path]:
    """What lies in a folder, in order. UserError if it may not be looked into: what is there is not nothing."""
    try:
        return sorted(path for path in folder.iterdir() if path.match(pattern))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f"{folder} cannot be read: {error.strerror or error}; change the permissions") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}. What was measured before is kept; "
            "free some space or change the permissions and run the same command again"
        ) from error


def append_to(path: Path, blob: bytes) -> None:
    """Append ``blob`` to a file, which is created if need be; on return both are on the disk."""
    existed = path.exists()
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        append_whole(file, blob)
    finally:
        os.close(file)
    if not existed:
        sync_directory(path.parent)


def append_whole(file: int, blob: bytes) -> None:
    """All of ``blob`` at the end of the file and on the disk, or the file as it was."""
    length = os.fstat(file).st_size
    if length and os.pread(file, 1, length - 1) != b"\n":
        blob = b"\n" + blob  # a crash cut the last line: it stays, on a line of its own
    try:
        rest = memoryview(blob)
        while rest:
            rest = rest[os.write(file, rest) :]
        os.fsync(file)
    except BaseException:
        os.ftruncate(file, length)
        os.fsync(file)
        raise


def sync_directory(path: Path) -> None:
    """A new file's name is on the disk only once its directory is."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
