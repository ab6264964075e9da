"""What the user says of a cluster: a TOML file, or "slurm" for the cluster's own defaults."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from bench import readers
from bench.errors import UserError, choose
from bench.files import existing

DEFAULTS = "slurm"  # instead of a file: every key at its default
_TIME = re.compile(r"(?:(?P<days>\d+)-(?P<dh>\d+)(?::(?P<dm>\d+))?(?::(?P<ds>\d+))?|(?:(?P<h>\d+):)?(?P<m>\d+):(?P<s>\d+))")
_GPUS = re.compile(r"([\w.-]+:)?\d+")
_OWN = ("time", "array", "signal", "requeue", "no-requeue", "output", "error", "open-mode", "dependency", "job-name")


@dataclass(frozen=True)
class Cluster:
    """Settings of the jobs, by the keys of the TOML file; an empty text or list, or 0 where there is a default, is not passed on.

    ``time``: minutes. ``gpus``: of a job, a number, or a type and a number ("a100:1").
    """

    partition: str = ""
    account: str = ""
    qos: str = ""
    constraint: str = ""
    gpus: str = "0"
    cpus: int = 2
    memory: str = ""
    time: int = 240
    requeue: bool = True
    timeouts: int = 100
    warning_s: int = 90
    array_size: int = 1000
    at_once: int = 0
    minutes: int = 60
    workers: int = 0
    setup: tuple[str, ...] = ()
    python: str = ""
    data_root: str = ""
    cache: str = ""
    sbatch: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def gpu_count(self) -> int:
        return int(self.gpus.rpartition(":")[2])

    @property
    def side_by_side(self) -> int:
        """Cases that a job runs at a time."""
        return self.workers or self.cpus

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), "setup": list(self.setup)}

    @classmethod
    def of(cls, content: Mapping[str, object]) -> Self:
        """The settings in a table. Raises UserError or TypeError that names the key."""
        for name in content:
            choose("key", name, _READERS)
        chosen: dict[str, Any] = {name: _READERS[name](value, name) for name, value in content.items()}
        found = cls(**chosen)
        if found.warning_s >= 60 * found.time:
            raise UserError(f"warning_s = {found.warning_s} leaves no time in a job of {found.time} minutes; use fewer seconds")
        return found


def cluster(named: str) -> Cluster:
    """Return the settings in the TOML file ``named``, or the defaults for "slurm". Raises UserError with file, key and remedy."""
    if named == DEFAULTS:
        return Cluster()
    path = Path(named).expanduser()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"--on {named!r}: {error.strerror or error}; name a TOML file (docs/cluster.md), or {DEFAULTS!r} for the defaults"
        ) from error
    except ValueError as error:
        raise UserError(f"{path} is not a TOML file: {error}") from error
    try:
        found = Cluster.of(content)
    except (UserError, TypeError) as error:
        raise UserError(f"{path}: {error}. The keys are in docs/cluster.md") from error
    if found.data_root:
        existing(Path(found.data_root), "data_root", f"name the folder with the data sets, in {path}")
    return found


def minutes(value: object, what: str) -> int:
    """Whole minutes of a time limit, a number or as SLURM writes it; part of a minute counts as one.

    >>> minutes("1-12:00:00", "time"), minutes("0:90:00", "time"), minutes("2-6", "time"), minutes(30, "time")
    (2160, 90, 3240, 30)
    """
    text = str(value)
    if isinstance(value, int) and not isinstance(value, bool):
        seconds = 60 * value
    elif isinstance(value, str) and text.isdecimal():
        seconds = 60 * int(text)
    elif isinstance(value, str) and (parts := _TIME.fullmatch(text)):
        d = {name: int(part or 0) for name, part in parts.groupdict().items()}
        seconds = d["days"] * 86400 + (d["dh"] + d["h"]) * 3600 + (d["dm"] + d["m"]) * 60 + d["ds"] + d["s"]
    else:
        raise UserError(f'{what} = {value!r} is not a time limit; use minutes, "4:00:00" or "1-12:00:00"')
    if seconds < 60:
        raise UserError(f"{what} = {value!r} is less than a minute; use at least 1")
    return -(-seconds // 60)


def _flag(value: object, what: str) -> bool:
    if not isinstance(value, bool):
        raise UserError(f"{what} = {value!r} is neither true nor false")
    return value


def _gpus(value: object, what: str) -> str:
    text = str(value)
    if isinstance(value, bool) or not isinstance(value, int | str) or not _GPUS.fullmatch(text):
        raise UserError(f'{what} = {value!r} is not a number of GPUs; use a number, or a type and a number as "a100:1"')
    return text


def _from(least: int) -> Callable[[object, str], int]:
    def read(value: object, what: str) -> int:
        number = readers.whole(value, what)
        if number < least:
            raise UserError(f"{what} = {number} is too small; use at least {least}")
        return number

    return read


def _sbatch(value: object, what: str) -> Mapping[str, str | int]:
    options: dict[str, str | int] = {}
    for name, given in readers.table(value, what).items():
        plain = name.lstrip("-").replace("_", "-")
        if plain in _OWN:
            raise UserError(f"{what}.{name} is set by spikecost; leave it out")
        if not isinstance(given, str | int):
            raise UserError(f"{what}.{name} = {given!r} is neither a text nor a number nor true")
        options[plain] = given
    return options


def _lines(value: object, what: str) -> tuple[str, ...]:
    return tuple(readers.texts(value, what))


_READERS: Mapping[str, Callable[[object, str], object]] = {
    "partition": readers.text,
    "account": readers.text,
    "qos": readers.text,
    "constraint": readers.text,
    "gpus": _gpus,
    "cpus": _from(1),
    "memory": readers.text,
    "time": minutes,
    "requeue": _flag,
    "timeouts": _from(0),
    "warning_s": _from(1),
    "array_size": _from(1),
    "at_once": _from(0),
    "minutes": _from(1),
    "workers": _from(0),
    "setup": _lines,
    "python": readers.text,
    "data_root": readers.text,
    "cache": readers.text,
    "sbatch": _sbatch,
}
assert set(_READERS) == {each.name for each in fields(Cluster)}
