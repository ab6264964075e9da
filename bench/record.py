"""A line of results: what was measured, on what, by which code. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bench import readers
from bench.case import CaseFields

Status = Literal["ok", "unsupported", "refused", "out of memory", "crashed", "failed", "timeout"]
_TOGETHER = re.compile(r"([2-9]|[1-9]\d+) x (.+)")


def together(device: str, processes: int) -> str:
    """Return the device of a training by several processes, one on each, as its record names it: "4 x NVIDIA H100"."""
    return device if processes == 1 else f"{processes} x {device}"


def apart(device: str) -> tuple[int, str]:
    """Return the number of processes, and the device of each, of what ``together`` returns."""
    several = _TOGETHER.fullmatch(device)
    return (int(several[1]), several[2]) if several else (1, device)


@dataclass(frozen=True)
class Record:
    """One line of results/runs/<machine>/<paper>.jsonl: a measured value, or the reason why there is none."""

    case: CaseFields
    key: str
    metric: str
    value: float | int | str | None
    unit: str
    version: int
    detail: Mapping[str, object]
    status: Status
    reason: str
    kernel: str
    digest: str  # of the code that computed this value
    versions: Mapping[str, str]
    commit: str
    machine: str
    device: str  # it was computed on: "meta" (shapes alone), "cpu", or the name of a GPU; of several processes see ``together``
    threads: int  # of the CPU
    precision: str  # of weights and activations: "float32", "float64"
    run: str  # identifies the call of the run command
    when: str

    @property
    def number(self) -> float:
        """The value, which must be a number: a whole one stays whole. Raises TypeError otherwise."""
        return readers.number(self.value, f"{self.metric} of {self.key}")
