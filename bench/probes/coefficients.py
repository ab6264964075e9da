"""Coefficients of the formulas for memory, MACs and traffic, for any T and batch (bench/planning/formulas.py).

The value is the largest error of the peak, relative to counts at settings that were not used for the coefficients.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from bench.case import Case
from bench.measurement import Measurement
from bench.options import Declared
from bench.planning.coefficients import OfCatalogue, amounts, formula
from bench.planning.formulas import Formula
from bench.probes.resources import Resources
from bench.seeds import seed_of

VERSION = 1
CHECKS = 4
LONGEST, LARGEST = 100, 512  # T and batch of the settings that are checked


@dataclass(frozen=True)
class Options(Declared):
    """No options."""


def measure(case: Case, resources: Resources) -> list[Measurement]:
    """Return one Measurement, whose detail holds the formula and what was checked; T and batch of the case are not used."""
    counter = OfCatalogue(case.network, case.algorithm, case.backend, tuple(case.algorithm_options.items()))
    found = formula(counter)
    suitable = list(filter(counter.suits, range(1, LONGEST + 1)))
    checked = _checked(found, counter, suitable)
    worst = max(abs(check["by formula"] / check["counted"] - 1) for check in checked)
    return [
        Measurement(
            "formula_error",
            worst,
            "1",
            VERSION,
            {**found.as_dict(), **amounts(counter).as_dict(), "least": suitable[0], "checked": checked},
        )
    ]


def _checked(found: Formula, counter: OfCatalogue, suitable: Sequence[int]) -> list[dict[str, int]]:
    """Count at settings drawn from the name of the case, and compute the same by the formula."""
    draw = random.Random(seed_of("checks of a formula", counter.network, counter.algorithm, counter.backend))
    checks: list[dict[str, int]] = []
    for T in draw.sample(suitable, CHECKS):
        batch = draw.randint(2, LARGEST)
        counted = counter.cost(T, batch).memory.total
        checks.append({"T": T, "batch": batch, "counted": counted, "by formula": round(found.peak(found.lengths(T), batch))})
    return checks
