"""The longest sequence that can be trained on a card of 2 to 80 GiB: T steps fit, T + 1 do not (bench/planning/longest.py).

Live tensors may use the card's memory less the headroom of bench/overhead.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.case import Case
from bench.errors import UserError
from bench.measurement import Measurement
from bench.options import Declared
from bench.overhead import HEADROOM, usable
from bench.planning.longest import longest
from bench.probes.resources import Resources

VERSION = 2  # 1: without headroom


@dataclass(frozen=True)
class Options(Declared):
    """No options."""


CARDS_GIB = (2, 4, 8, 16, 24, 40, 80)


def measure(case: Case, resources: Resources) -> list[Measurement]:
    """Return one Measurement per size of card; the T of the case is not used. Raises UserError for other backends than native."""
    if case.backend != "native":
        raise UserError(f"the longest sequence on {case.backend}: its peaks are known by formula on the native backend only")
    measurements = []
    for GiB in CARDS_GIB:
        live = usable(GiB * 2**30)
        T, counted = longest(case.network, case.algorithm, case.batch, live, case.algorithm_options)
        detail = {"GiB": GiB, "headroom GiB": HEADROOM / 2**30, "found by": "count" if counted else "formula"}
        measurements.append(Measurement(f"longest T on a {GiB} GiB card", T, "steps", VERSION, detail))
    return measurements
