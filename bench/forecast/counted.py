"""Training steps that were counted before, in a file, so that the next forecast takes no time. Imports torch to count others."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from bench.case import Case
from bench.errors import UserError
from bench.files import write_whole
from bench.forecast.history import kind_of
from bench.forecast.work import Work
from bench.plan import digest_of


class Counted:
    """The work of training steps by their kind and the digest of the code that counted it, kept in the file ``path``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = _read(path)

    def of(self, case: Case) -> Work:
        """Return the work of a step of ``case``. Raises Unavailable if the combination does not exist here."""
        key = f"{kind_of(case)} {digest_of(case)}"
        if key not in self._known:
            from bench.forecast.counting import work_of

            self._known[key] = work_of(case)
            text = json.dumps({name: asdict(work) for name, work in sorted(self._known.items())}, indent=0)
            write_whole(self._path, f"{text}\n".encode())
        return self._known[key]


def _read(path: Path) -> dict[str, Work]:
    if not path.exists():
        return {}
    try:
        return {key: Work.of(value) for key, value in json.loads(path.read_bytes()).items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path} holds no counted training steps ({error}): delete it, and they are counted again") from error
