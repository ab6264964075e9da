"""Events and files that tests of event data sets share."""

from __future__ import annotations

import hashlib
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
