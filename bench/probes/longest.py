"""The longest sequence that trains in 1 to 80 GiB: T steps fit, T + 1 do not (bench/fit/longest.py)."""

from __future__ import annotations

from bench.fit.longest import longest
from bench.spec import Case, Measurement, UserError

VERSION = 1
BUDGETS_GIB = (1, 2, 5, 10, 20, 40, 80)


def measure(case: Case) -> list[Measurement]:
    """One Measurement a budget; the case's own T is not used."""
    if case.backend != "native":
        raise UserError(f"the longest sequence on {case.backend}: its peaks are known by formula on the native backend only")
    found = {GiB: longest(case.network, case.algorithm, case.batch, GiB * 2**30, case.algorithm_options) for GiB in BUDGETS_GIB}
    return [
        Measurement(f"longest T in {GiB} GiB", T, "steps", VERSION, {"GiB": GiB, "found by": "count" if counted else "formula"})
        for GiB, (T, counted) in found.items()
    ]
