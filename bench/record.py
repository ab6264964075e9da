"""A line of results: what was measured, on what, by which code. Imports nothing of the suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["ok", "unsupported", "refused", "out of memory", "crashed", "failed", "timeout"]


@dataclass(frozen=True)
class Record:
    """One line of results/runs/<machine>/<paper>.jsonl: a measured value, or the reason why there is none."""

    case: Mapping[str, Any]
    key: str
    metric: str
    value: float | int | str | None
    unit: str
    version: int
    detail: Mapping[str, Any]
    status: Status
    reason: str
    kernel: str
    digest: str  # of the code that computed this value
    versions: Mapping[str, str]
    commit: str
    machine: str
    device: str  # it was computed on: "meta" (shapes alone), "cpu", or the name of a GPU
    threads: int  # of the CPU
    precision: str  # of weights and activations: "float32", "float64"
    run: str  # identifies the call of the run command
    when: str
