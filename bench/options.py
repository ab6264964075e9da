"""Options, each declared once: a field of a frozen dataclass, with name, default, range and meaning.

    @dataclass(frozen=True)
    class Options(Declared):
        K: int = whole(2, "time steps of a window", least=1)

The constructor checks every value and raises UserError if one is invalid. Imports no torch.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from bench.spec import PROBE_OPTIONS, Case, NetworkSpec, UserError, choose

Check = Callable[[str, Any], None]


@dataclass(frozen=True)
class Declared:
    """Base class of all options. Raises UserError, naming value and remedy, if a value is invalid."""

    def __post_init__(self) -> None:
        for each in fields(self):
            each.metadata["check"](each.name, getattr(self, each.name))

    @classmethod
    def told(cls, of: str, values: Mapping[str, Any]) -> Self:
        """Build from names and values. Raises UserError, with close matches, for an option that ``of`` does not have."""
        for name in values:
            choose_option(of, name, cls.names())
        return cls(**values)

    @classmethod
    def names(cls) -> list[str]:
        return [each.name for each in fields(cls)]

    @classmethod
    def meanings(cls) -> dict[str, str]:
        """One line per option: meaning, range and default."""
        return {each.name: f"{each.metadata['meaning']} ({each.metadata['range']}; {each.default!r})" for each in fields(cls)}

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def suits(self, spec: NetworkSpec, T: int) -> None:
        """Raise UserError unless these values suit this network and sequences of T steps. Subclasses override it if needed."""

    @property
    def updates_once(self) -> bool:
        """Whether the weights change once per batch, at its end."""
        return True


def choose_option(of: str, name: str, known: Sequence[str]) -> None:
    """Raise UserError, with close matches, unless ``name`` is one of the options ``known``."""
    if name in known:
        return
    close = difflib.get_close_matches(name.lower(), known, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise UserError(f"{of} has no option {name!r}: {hint}it takes {', '.join(sorted(known)) or 'none'}")


def within(K: int, T: int, of: str) -> None:
    """Raise UserError unless 1 <= K <= T: a window of K steps in a sequence of T steps."""
    if not 1 <= K <= T:
        raise UserError(f"{of}: K = {K} of T = {T} steps; use 1 <= K <= T")


# --------------------------------------------------------------------------- fields


def whole(default: int | None, meaning: str, least: int, most: int | None = None) -> Any:
    """A whole number, ``least`` <= value <= ``most``. None is valid if it is the default."""
    span = f"a whole number >= {least}" + ("" if most is None else f" and <= {most}")

    def check(name: str, value: Any) -> None:
        if value is None and default is None:
            return
        if isinstance(value, bool) or not isinstance(value, int):
            raise UserError(f"{name} = {value!r} is no whole number; use {span} ({meaning})")
        if value < least or (most is not None and value > most):
            raise UserError(f"{name} = {value}; use {span} ({meaning})")

    return _declared(default, meaning, span, check)


def number(default: float, meaning: str, least: float = 0.0, below: float = math.inf, most: float = math.inf) -> Any:
    """A finite number with ``least`` <= value < ``below`` and value <= ``most``."""
    ends = [f"{sign} {end:g}" for sign, end in ((">=", least), ("<", below), ("<=", most)) if end < math.inf]
    span = f"a number {' and '.join(ends)}"

    def check(name: str, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{name} = {value!r} is no number; use {span} ({meaning})")
        if not (math.isfinite(value) and least <= value < below and value <= most):
            raise UserError(f"{name} = {value:g}; use {span} ({meaning})")

    return _declared(default, meaning, span, check)


def one_of(default: str, known: Sequence[str], meaning: str) -> Any:
    """One of the names ``known``."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, str):
            raise UserError(f"{name} = {value!r} is no name; use one of {', '.join(known)}")
        choose(name, value, known)

    return _declared(default, meaning, " or ".join(known), check)


def either(default: bool, meaning: str) -> Any:
    """True or False."""

    def check(name: str, value: Any) -> None:
        if not isinstance(value, bool):
            raise UserError(f"{name} = {value!r}: use {name} = True or {name} = False")

    return _declared(default, meaning, "True or False", check)


def checked(default: Any, span: str, meaning: str, check: Check) -> Any:
    """An option with its own check: ``check(name, value)`` raises UserError if the value is invalid."""
    return _declared(default, meaning, span, check)


def _declared(default: Any, meaning: str, span: str, check: Check) -> Any:
    return field(default=default, metadata={"meaning": meaning, "range": span, "check": check})


# --------------------------------------------------------------------------- probes


@dataclass(frozen=True)
class Part(Declared):
    """The size of the part of a data set that is used."""

    train_images: int | None = whole(None, "training samples, class-balanced; all where it is not told", least=1)
    test_images: int | None = whole(None, "test samples, class-balanced; all where it is not told", least=1)


@dataclass(frozen=True)
class Training(Part):
    epochs: int = whole(1, "times that every training sample is seen", least=1)
    accumulate: int = whole(1, "batches whose gradients are gathered before the weights change", least=1)


@dataclass(frozen=True)
class Gradient(Part):
    batches: int = whole(1, "batches on which the two gradients are compared", least=1)
    after_batches: int = whole(0, "batches on which the algorithm trains before", least=0)


@dataclass(frozen=True)
class Clock(Declared):
    repeats: int = whole(7, "turns that are timed: quartiles take two at least", least=2)


PROBES: dict[str, type[Declared]] = {
    "count": Declared, "cost": Declared, "equivalence": Declared, "cuda-memory": Declared, "longest": Declared,
    "gradient": Gradient, "activity": Part, "events": Part, "training": Training, "clock": Clock,
}  # fmt: skip


def of_probe(case: Case) -> Any:
    """Return the probe's options of a case. Raises UserError for an option of another probe."""
    own = {name: value for name, value in case.options if name in PROBE_OPTIONS}
    return PROBES[case.probe].told(f"probe {case.probe}", own)
