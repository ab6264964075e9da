"""Files that are replaced as a whole: after a crash at any moment the old one or the new one is there. Imports no torch."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from bench.spec import UserError


def write_whole(path: Path, contents: bytes, remedy: str = "free some space or mend the permissions") -> None:
    """Write beside, then rename. Raises UserError that names the file and ends in ``remedy``; the old file stays."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(contents)
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise UserError(f"cannot write {path}: {error.strerror or error}; {remedy}") from error
