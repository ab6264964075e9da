"""What a probe returns. Imports nothing of the suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Unit = Literal[
    "1",
    "%",
    "points",  # differences of per cent
    "B",
    "MAC",
    "steps",
    "pass/fail",
    "spikes/neuron/step",
    "events/pixel/s",
    "x BPTT's",
    "x native BPTT",
]


@dataclass(frozen=True)
class Measurement:
    """One value measured by a probe, with its unit and the version of the probe."""

    metric: str
    value: float | int | str | None
    unit: Unit
    version: int = 1
    detail: Mapping[str, Any] = field(default_factory=dict)
