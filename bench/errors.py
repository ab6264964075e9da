"""Errors of the user, and answers to "can this be done here?". Imports nothing of the suite."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass


class UserError(Exception):
    """Invalid input of the user. The message names the value and the remedy; the command line shows no traceback."""


class Unavailable(UserError):
    """The request is valid but this machine lacks something: a GPU, a library, a file. The message names it, and the remedy.

    ``missing``: the package that has to be installed, if it is one. What needed it is measured again once it is there.
    """

    def __init__(self, message: str, *, missing: str = "") -> None:
        super().__init__(message)
        self.missing = missing


@dataclass(frozen=True)
class Support:
    """Whether something can be done here. ``reason`` is shown to the user and is empty only if ``ok``."""

    ok: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.ok


YES = Support(True)


def no(reason: str) -> Support:
    return Support(False, reason)


def choose(kind: str, value: str, known: Iterable[str]) -> str:
    """Return ``value`` if it is known, else raise UserError with the closest known names."""
    names = sorted(known)
    if value in names:
        return value
    close = difflib.get_close_matches(str(value).lower(), names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}"
    raise UserError(f"unknown {kind} {value!r}: {hint}")
