"""What a worker gives to a probe in addition to the case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.datasets.real import RealData
    from bench.progress import Progress


def _silent(progress: Progress) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Resources:
    """``data``: the case's data set, loaded at first use. ``device``: the torch device of the probe's entry in the registry.

    ``threads`` of the CPU that it may use (bench/plan.py).
    ``checkpoint``: where a long probe saves what it has done, and resumes from. ``report``: shows its progress.
    """

    data: RealData
    device: str = "cpu"
    threads: int = 1
    checkpoint: Path | None = None
    report: Callable[[Progress], None] = _silent
