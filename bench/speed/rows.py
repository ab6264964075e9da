"""The training steps that are timed against one another on a workload. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.registry import PROBES

FLOOR = "convolutions alone"  # all synapses forward and backward once; no neurons, no optimizer
LAYOUTS = ("contiguous", "channels last")  # of the tensors of FLOOR
TIMING = ("speed", "cuda-speed")  # the probes that time rows
_NAMED = re.compile(r"\S+ on (\S+)( \(.*\))?")


@dataclass(frozen=True)
class Workload:
    network: str
    T: int
    batch: int

    def __str__(self) -> str:
        return f"{self.network}, T = {self.T}, batch {self.batch}"


@dataclass(frozen=True)
class Row:
    """A training step. If ``algorithm`` is FLOOR, ``backend`` is the layout of the tensors."""

    algorithm: str
    backend: str
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        """The metric of its seconds in records."""
        if self.algorithm == FLOOR:
            return f"{FLOOR}, {self.backend}"
        shown = ", ".join(f"{name} = {value}" for name, value in self.options)
        return f"{self.algorithm} on {self.backend}" + (f" ({shown})" if shown else "")


def rows(T: int) -> Iterator[Row]:
    """Yield the rows of a workload of T time steps: the registry's, at their defaults or in windows. Not all run everywhere."""
    yield from (Row(FLOOR, layout) for layout in LAYOUTS)
    for algorithm, backend in PROBES["speed"].against:
        yield Row(algorithm, backend, (("K", 2),) if algorithm == "tbptt" else ())
        if backend == "native-fast" and algorithm in ("ottt-a", "sltt"):
            yield Row(algorithm, backend, (("K", T),))


def backend_of(metric: str) -> str | None:
    """Return the backend of the row that a metric names ("native" for the convolutions alone); None if it names no row."""
    if metric in {str(Row(FLOOR, layout)) for layout in LAYOUTS}:
        return "native"
    named = _NAMED.fullmatch(metric)
    return named[1] if named else None
