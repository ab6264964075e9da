"""What a probe returns. Imports nothing of the suite."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Measurement:
    """One value measured by a probe, with its unit and the version of the probe."""

    metric: str
    value: float | int | str | None
    unit: str
    version: int = 1
    detail: Mapping[str, Any] = field(default_factory=dict)
