"""Checks of single values of a specification: each raises UserError that names the value and what is allowed."""

from __future__ import annotations

import math

from bench.errors import UserError


def whole(name: str, value: object, least: int) -> None:
    if type(value) is not int or value < least:
        raise UserError(f"{name} = {value!r}: use a whole number >= {least}")


def real(name: str, value: object, allowed: str = "a finite number", *, within: tuple[float, float] | None = None) -> None:
    """Raise UserError unless ``value`` is finite and in the closed interval ``within``; ``allowed`` describes it in words."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or (within and not within[0] <= value <= within[1]):  # type: ignore[operator]
        raise UserError(f"{name} = {value!r}: use {allowed}")


def positive(name: str, value: object) -> None:
    real(name, value, "a finite number > 0", within=(math.ulp(0.0), math.inf))


def flag(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise UserError(f"{name} = {value!r}: use True or False")
