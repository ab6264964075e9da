"""Files that are replaced as a whole, so that after a crash at any moment the old or the new one exists; and folders named by
the user. Imports no torch."""

from __future__ import annotations

import contextlib
import difflib
import os
from pathlib import Path

from bench.errors import UserError


def write_whole(path: Path, contents: bytes, remedy: str = "free some space or mend the permissions") -> None:
    """Write a temporary file, then rename it. Raises UserError that names the file and ends in ``remedy``; the old file stays."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(contents)
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise UserError(f"cannot write {path}: {error.strerror or error}; {remedy}") from error


def existing(folder: Path, kind: str, remedy: str) -> Path:
    """Return ``folder``, named by the user, if it exists. Raises UserError that suggests close names; it is never created."""
    folder = folder.expanduser()
    if folder.is_dir():
        return folder
    problem = "is no folder" if folder.exists() else "does not exist"
    raise UserError(f"the {kind} {folder} {problem}{_close(folder)}; {remedy}")


def _close(folder: Path) -> str:
    """Return a suggestion for the first part of the path that does not exist."""
    missing = folder.absolute()
    while not missing.parent.is_dir() and missing.parent != missing:
        missing = missing.parent
    try:
        siblings = [path.name for path in missing.parent.iterdir() if path.is_dir()]
    except OSError:
        return ""
    close = difflib.get_close_matches(missing.name, siblings, n=3, cutoff=0.5)
    return f": did you mean {' or '.join(str(missing.parent / name) for name in close)}?" if close else ""
