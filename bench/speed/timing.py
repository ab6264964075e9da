"""The one timing function: steps take turns, so that a slow moment of the machine affects all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from bench.errors import UserError

WARM_UP = 2
LEAST = 2  # turns that quartiles need


def require_turns(repeats: int) -> None:
    """Raise UserError if ``repeats`` is too small for quartiles."""
    if isinstance(repeats, bool) or not isinstance(repeats, int) or repeats < LEAST:
        raise UserError(f"repeats = {repeats!r}: quartiles need at least {LEAST} turns; use repeats >= {LEAST}")


def in_turns(steps: Mapping[str, Callable[[], object]], repeats: int, device: str = "cpu") -> dict[str, list[float]]:
    """Return the seconds of each step in ``repeats`` turns after a warm-up.

    Every turn runs each step once; the device is synchronised before the clock is read.
    """
    require_turns(repeats)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(WARM_UP + repeats):
        for name, step in steps.items():
            _synchronise(device)
            began = time.perf_counter()
            step()
            _synchronise(device)
            if turn >= WARM_UP:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def ratio_in_turns(mine: Sequence[float], other: Sequence[float]) -> tuple[float, float, float]:
    """Return (lower quartile, median, upper quartile) of ``mine / other`` per turn; both in seconds, in the order of turns."""
    low, median, high = statistics.quantiles([a / b for a, b in zip(mine, other, strict=True)], n=4)
    return low, median, high


def _synchronise(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
