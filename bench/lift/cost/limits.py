"""The largest batch and the largest T of a training step that fit in a given number of bytes.

Both come from formulas (bench/lift/cost/peaks.py) that are fitted to few counts and then held against a count that was not used:

    counted        the value was counted: it fits, and the next one does not
    formula        the formula was held against a count at ``checked`` (T, batch), T <= 100; ``error`` is its relative deviation
    extrapolated   the same, for T > 100

``low`` and ``high``: the value if every peak were higher or lower by ``error``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

from torch import nn

from bench.errors import UserError
from bench.planning.longest import MOST, largest

Basis = Literal["counted", "formula", "extrapolated"]
FAR = 100  # a formula is held against a count up to here; beyond, it extrapolates
_LEAST, _MOST, _STEPS = 20, 48, 480  # of a T that is counted: least, most, and times the number of layers


@dataclass(frozen=True)
class Limit:
    """The largest value that fits, 0 if none does; ``MOST``: no limit was found up to there."""

    value: int
    basis: Basis
    low: int
    high: int
    error: float = 0.0
    checked: tuple[int, int] | None = None

    def as_dict(self) -> dict[str, object]:
        """Everything, in types that JSON has."""
        return vars(self) | {"checked": None if self.checked is None else list(self.checked)}


@dataclass(frozen=True)
class Limits:
    """Of the batch, at the T of the comparison; of T, at its batch. None: it is not free."""

    batch: Limit | None
    T: Limit | None

    def as_dict(self) -> dict[str, object]:
        found = {"batch": self.batch, "T": self.T}
        return {name: None if limit is None else limit.as_dict() for name, limit in found.items()}


@dataclass(frozen=True)
class Question:
    """``peak(T, batch)`` is counted, ``formula(T)`` is its formula at ``batch``, fitted up to ``fitted`` time steps.

    ``allowed``: bytes; ``far``: the largest T that is counted.
    """

    peak: Callable[[int, int], int]
    T: int
    batch: int
    allowed: float
    far: int

    def largest_batch(self) -> Limit:
        """Return the largest batch at ``T``, from counts at two batches."""
        short = min(self.T, max(self.far // 2, 1))
        here = self.peak(self.T, self.batch)
        of_weights = 2 * self.peak(short, self.batch) - self.peak(short, 2 * self.batch)

        def formula(batch: int) -> float:
            return of_weights + (here - of_weights) * batch / self.batch

        found = largest(formula, self.allowed)
        if short == self.T:
            return _counted(lambda batch: self.peak(self.T, batch), found, self.allowed)
        at = max(found, 1)
        affine = of_weights + (self.peak(short, self.batch) - of_weights) * at / self.batch
        return _within(formula, self.allowed, abs(affine / self.peak(short, at) - 1), "formula", (short, at))

    def largest_T(self, formula: Callable[[int], float], fitted: int) -> Limit:
        """Return the largest T at ``batch``; ``formula(T)`` is the peak, fitted to counts of up to ``fitted`` time steps."""
        formula = cache(formula)
        found = largest(formula, self.allowed)
        if found <= self.far:
            return _counted(self._peak_at, found, self.allowed)
        at = self.T if fitted < self.T <= FAR else self.far
        error = abs(formula(at) / self.peak(at, self.batch) - 1)
        return _within(formula, self.allowed, error, "extrapolated" if found > FAR else "formula", (at, self.batch))

    def _peak_at(self, T: int) -> float:
        """Infinite for a T that is too short for the algorithm's options, as a window or the steps that Skipper keeps."""
        try:
            return self.peak(T, self.batch)
        except UserError:
            if T < self.T:
                return math.inf
            raise


def far(module: nn.Module) -> int:
    """Return the largest T that is counted only to check a formula: shorter for a module of many layers."""
    layers = sum(not any(True for _ in part.children()) for part in module.modules())
    return max(_LEAST, min(_MOST, _STEPS // max(layers, 1)))


def _counted(count: Callable[[int], float], guess: int, allowed: float) -> Limit:
    """Return the largest n with count(n) <= allowed, searched from a guess that is nearly right."""

    def fits(n: int) -> bool:
        return n == 0 or (n <= MOST and count(n) <= allowed)

    step = 1
    if fits(guess):
        low = guess
        while fits(low + step):
            low, step = low + step, 2 * step
        high = low + step
    else:
        high = guess
        while not fits(max(high - step, 0)):
            high, step = high - step, 2 * step
        low = max(high - step, 0)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return Limit(low, "counted", low, low)


def _within(formula: Callable[[int], float], allowed: float, error: float, basis: Basis, checked: tuple[int, int]) -> Limit:
    values = [largest(formula, allowed * share) for share in (1.0, 1 / (1 + error), 1 + error)]
    return Limit(values[0], basis, values[1], values[2], error, checked)
