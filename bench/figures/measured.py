"""What was measured for a claim, as people read it. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.claims import Verdict
from bench.claims.claim import Measure
from bench.figures import style
from bench.figures.words import images
from bench.quantity import quantity

_FEW = 3  # numbers of which each is written with what it belongs to
_COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NAMED: Mapping[str, tuple[str, Callable[[object], str]]] = {  # what may distinguish parts: the plural, and the name of one
    "backend": ("backends", lambda name: style.backend(str(name)).title),
    "dataset": ("data sets", lambda name: images(str(name))),
    "network": ("networks", str),
    "algorithm": ("algorithms", lambda name: style.algorithm(str(name)).title),
    "T": ("numbers of time steps", lambda T: f"T = {T}"),
}


def measured(verdict: Verdict) -> str:
    """In the claim's unit; a claim of several parts as a sentence.

    "3.33 (native), 3.89 (SpikingJelly)"; "5.63 to 19.5 on five networks"; "0 B of growth (OTTT-A and OTTT-O)".
    """
    unit = verdict.claim.unit
    if len(verdict.claim.parts) < 2:
        return "–" if verdict.measured is None else quantity(verdict.measured, unit)
    parts = [part for part in verdict.parts if part.measured is not None]
    if not parts:
        return "–"
    values = {part.measured: quantity(part.measured, unit) for part in parts if part.measured is not None}
    field = _distinguishing(verdict.claim.parts)
    if field is None:
        return ", ".join(quantity(part.measured, unit) for part in parts if part.measured is not None)
    plural, name = _NAMED[field]
    if len(values) == 1:
        names = [name(_asked(part.measure)[field]) for part in parts]
        return f"{next(iter(values.values()))} ({_listed(names)})"
    if len(parts) > _FEW and all(isinstance(value, int | float) for value in values):
        ordered = sorted(values, key=lambda value: float(value))
        lowest, _, rest = values[ordered[0]].partition(" ")
        low = lowest if values[ordered[-1]].partition(" ")[2] == rest else values[ordered[0]]
        return f"{low} to {values[ordered[-1]]} on {_counted(len(parts))} {plural}"
    return ", ".join(
        f"{values[part.measured]} ({name(_asked(part.measure)[field])})" for part in parts if part.measured is not None
    )


def labels(verdict: Verdict) -> list[str]:
    """What each of a verdict's ``parts`` belongs to; empty texts where nothing distinguishes them."""
    field = _distinguishing(verdict.claim.parts)
    return [_NAMED[field][1](_asked(part.measure)[field]) if field else "" for part in verdict.parts]


def _distinguishing(measures: Sequence[Measure]) -> str | None:
    """The first field of a case by which all parts of a claim differ, if there is one."""
    asked = [_asked(measure) for measure in measures]
    for field in _NAMED if len(asked) > 1 else ():
        names = [str(selector.get(field)) for selector in asked]
        if all(field in selector for selector in asked) and len(set(names)) == len(names):
            return field
    return None


def _asked(measure: Measure) -> Mapping[str, object]:
    return measure.get("select", {})


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _counted(n: int) -> str:
    return _COUNTS[n] if n < len(_COUNTS) else str(n)
