"""Readers of values of which nothing is known but that they come from JSON or TOML. Imports nothing of the suite.

Each returns the value if it is of the kind asked for, and raises TypeError, naming ``what`` was read, if it is not; the caller
says in which file or record.
"""

from __future__ import annotations

from collections.abc import Mapping


def number(value: object, what: str) -> float:
    """A whole number stays a whole number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{what} is {value!r}, not a number")
    return value


def whole(value: object, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what} is {value!r}, not a whole number")
    return value


def text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} is {value!r}, not a text")
    return value


def numbers(value: object, what: str) -> list[float]:
    return [number(item, what) for item in items(value, what)]


def wholes(value: object, what: str) -> list[int]:
    return [whole(item, what) for item in items(value, what)]


def texts(value: object, what: str) -> list[str]:
    return [text(item, what) for item in items(value, what)]


def items(value: object, what: str) -> list[object]:
    if not isinstance(value, list | tuple):
        raise TypeError(f"{what} is {value!r}, not a list")
    return list(value)


def table(value: object, what: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{what} is {value!r}, not a table")
    return value
