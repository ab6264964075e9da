"""Options, each declared once: a field of a frozen dataclass, with name, default, range and meaning.

    @dataclass(frozen=True)
    class Options(Declared):
        K: int = whole(2, least=1, meaning="time steps of a window")

The constructor checks every value and raises UserError if one is invalid. Imports no torch.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self, TypeVar, overload

from bench.errors import UserError, choose
from bench.spec import NetworkSpec

Check = Callable[[str, object], None]
Value = TypeVar("Value")
Name = TypeVar("Name", bound=str)


@dataclass(frozen=True)
class Declared:
    """Base class of all options. Raises UserError, naming value and remedy, if a value is invalid."""

    def __post_init__(self) -> None:
        for each in fields(self):
            each.metadata["check"](each.name, getattr(self, each.name))

    @classmethod
    def named(cls, of: str, values: Mapping[str, object]) -> Self:
        """Build from names and values. Raises UserError, with close matches, for an option that ``of`` does not have."""
        for name in values:
            choose_option(of, name, cls.names())
        return cls(**values)

    @classmethod
    def names(cls) -> list[str]:
        return [each.name for each in fields(cls)]

    @classmethod
    def meanings(cls) -> dict[str, str]:
        """Return meaning, range and default of each option."""
        return {
            each.name: f"{each.metadata['meaning']} ({each.metadata['range']}; default {each.default!r})" for each in fields(cls)
        }

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


@overload
def whole(default: int, least: int, most: int | None = None, *, meaning: str) -> int: ...
@overload
def whole(default: None, least: int, most: int | None = None, *, meaning: str) -> int | None: ...
def whole(default: int | None, least: int, most: int | None = None, *, meaning: str) -> int | None:
    """A whole number, ``least`` <= value <= ``most``. None is valid if it is the default."""
    span = f"a whole number >= {least}" + ("" if most is None else f" and <= {most}")

    def check(name: str, value: object) -> None:
        if value is None and default is None:
            return
        if isinstance(value, bool) or not isinstance(value, int):
            raise UserError(f"{name} = {value!r} is not a whole number; use {span} ({meaning})")
        if value < least or (most is not None and value > most):
            raise UserError(f"{name} = {value}; use {span} ({meaning})")

    return _declared(default, meaning, span, check)


def number(default: float, least: float = 0.0, below: float = math.inf, most: float = math.inf, *, meaning: str) -> float:
    """A finite number with ``least`` <= value < ``below`` and value <= ``most``."""
    return _declared(default, meaning, *_between(least, below, most, meaning))


def per_cent(default: float, below: float, *, meaning: str) -> float:
    """A share in per cent, 0 <= value < ``below``. Values between 0 and 1 are rejected: they are mostly meant as fractions."""
    span, in_range = _between(0.0, below, math.inf, meaning)

    def check(name: str, value: object) -> None:
        in_range(name, value)
        if isinstance(value, int | float) and 0 < value < 1:
            raise UserError(f"{name} = {value:g} is less than one per cent: did you mean {100 * value:g}? ({meaning})")

    return _declared(default, meaning, f"{span}, in per cent", check)


def _between(least: float, below: float, most: float, meaning: str) -> tuple[str, Check]:
    """Return the range in words, and the check."""
    ends = [f"{sign} {end:g}" for sign, end in ((">=", least), ("<", below), ("<=", most)) if end < math.inf]
    span = f"a number {' and '.join(ends)}"

    def check(name: str, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UserError(f"{name} = {value!r} is not a number; use {span} ({meaning})")
        if not (math.isfinite(value) and least <= value < below and value <= most):
            raise UserError(f"{name} = {value:g}; use {span} ({meaning})")

    return span, check


def one_of(default: Name, known: Sequence[Name], *, meaning: str) -> Name:
    """One of the names ``known``."""

    def check(name: str, value: object) -> None:
        if not isinstance(value, str):
            raise UserError(f"{name} = {value!r} is not a name; use one of {', '.join(known)}")
        choose(name, value, known)

    return _declared(default, meaning, " or ".join(known), check)


def either(default: bool, *, meaning: str) -> bool:
    """True or False."""

    def check(name: str, value: object) -> None:
        if not isinstance(value, bool):
            raise UserError(f"{name} = {value!r}: use {name} = True or {name} = False")

    return _declared(default, meaning, "True or False", check)


def checked(default: Value, span: str, check: Check, *, meaning: str) -> Value:
    """An option with its own check: ``check(name, value)`` raises UserError if the value is invalid."""
    return _declared(default, meaning, span, check)


def _declared(default: Value, meaning: str, span: str, check: Check) -> Value:
    return field(default=default, metadata={"meaning": meaning, "range": span, "check": check})


@dataclass(frozen=True)
class Part(Declared):
    """The size of the part of a data set that is used. Options of a probe on real data inherit it."""

    train_images: int | None = whole(None, least=1, meaning="training samples, class-balanced; None uses all")
    test_images: int | None = whole(None, least=1, meaning="test samples, class-balanced; None uses all")
    validation_images: int | None = whole(
        None, least=1, meaning="training images, class-balanced, that are held out and replace the test images"
    )
    preparation: str = one_of("usual", ("usual", "sltt"), meaning="of images: the usual one, or a paper's")
