"""What a probe returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Measurement:
    """One value measured by a probe, with its unit and the version of the probe."""

    metric: str
    value: float | int | str | None
    unit: str
    version: int = 1
    detail: Mapping[str, object] = field(default_factory=dict)
