"""One record as one line of JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

from bench.record import Record

FIELDS = frozenset(field.name for field in fields(Record))
_TYPES: Mapping[str, type | tuple[type, ...]] = {  # of what JSON gives; all others are texts
    "case": dict, "detail": dict, "versions": dict, "version": int, "threads": int, "value": (int, float, str, type(None)),
}  # fmt: skip
_WHEN = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")  # one form, so that texts sort as times do
_LARGEST = 1e100  # no measured value is as large; sums and squares of numbers up to it are finite
_CONFLICT = re.compile(rb"(<<<<<<<|=======|>>>>>>>|\|\|\|\|\|\|\|)( |\r?$)")


@dataclass(frozen=True)
class LeftOut:
    """A line that is left out, why, and what to do; ``line`` counts from 1."""

    path: Path
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}: {self.reason}"


def encoded(record: Record, of: int) -> bytes:
    content = {"of": of, **vars(record)}
    try:
        text = _compact(content)
    except (ValueError, TypeError):  # few records hold what JSON has not: to look for it in all of them takes most of the time
        text = _compact(_plain(content))
    return f"{text}\n".encode()


def _compact(content: object) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: object) -> object:
    """As JSON has it; what JSON has no number for ('nan', 'inf') becomes its name: a diverged run is a result."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


@dataclass(frozen=True)
class Line:
    number: int
    record: Record
    of: int


def read(path: Path) -> Iterator[Line | LeftOut]:
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        yield LeftOut(path, 1, f"cannot be read ({error.strerror}): change the permissions; all of the file is left out")
        return
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if _CONFLICT.match(line):
            yield LeftOut(path, number, "a merge left its marker here: delete this line; the lines of both sides may stay")
            continue
        try:
            yield _parsed(number, line)
        except _OtherSchema as error:
            yield LeftOut(path, number, f"left out: {error}; {measure_again(path)}")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            start = line[:40].decode(errors="replace")
            yield LeftOut(
                path, number,
                f"not a record, left out ({type(error).__name__}: {error}): {start}...; delete the line and run again",
            )  # fmt: skip


class _OtherSchema(ValueError):
    """A record with fields that records no longer have, or without some that they have now."""


def measure_again(path: Path) -> str:
    """What to do about a record of another version of the suite. Its line need not be touched."""
    return (
        f"another version of spikecost wrote it: `spikecost run {path.stem}` measures it again; "
        "to remove this warning, move the file out of results/ first"
    )


def _parsed(number: int, line: bytes) -> Line:
    content = json.loads(line, parse_constant=_no_constant, parse_int=_whole_number, parse_float=_decimal_number)
    of = content.pop("of")
    for problem, names in (("no field", FIELDS - content.keys()), ("an unknown field", content.keys() - FIELDS)):
        if names and FIELDS & content.keys():
            raise _OtherSchema(f"{problem} {', '.join(sorted(names))}")
    if not FIELDS & content.keys():
        raise ValueError("none of a record's fields")
    for name, value in content.items():
        if not isinstance(value, _TYPES.get(name, str)) or isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}")
    if type(of) is not int or of < 1:
        raise TypeError(f"of is {of!r}")
    if not _WHEN.fullmatch(content["when"]):
        raise ValueError(f"when is {content['when']!r}")
    datetime.fromisoformat(content["when"])
    return Line(number, Record(**content), of)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")


def _whole_number(text: str) -> int:
    value = int(text)
    _require_measurable(value, text)
    return value


def _decimal_number(text: str) -> float:
    value = float(text)
    _require_measurable(value, text)
    return value


def _require_measurable(value: float, text: str) -> None:
    if not -_LARGEST <= value <= _LARGEST:
        raise ValueError(f"{text[:20]} is not a number that can be measured")
