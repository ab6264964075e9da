"""What a training step does, in numbers: multiply-accumulates, bytes moved, operators started, peak bytes. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Self

from bench.readers import number, whole


@dataclass(frozen=True)
class Work:
    """One training step: ``macs`` (dense), ``bytes_moved`` (each operator reads and writes each tensor once), ``operators``.

    ``convolves``: whether the network has convolutions; ``forward``: the share of the MACs in the forward pass, which evaluation
    repeats. ``peak_bytes``: most live bytes.
    """

    macs: int
    bytes_moved: int
    operators: int
    convolves: bool
    forward: float
    peak_bytes: int

    @classmethod
    def of(cls, content: Mapping[str, object]) -> Self:
        """Read it back. Raises TypeError or KeyError for other contents."""
        if set(content) != {f.name for f in fields(cls)}:
            raise TypeError(f"it has the fields {', '.join(content)}")
        convolves = content["convolves"]
        if not isinstance(convolves, bool):
            raise TypeError(f"convolves is {convolves!r}, neither true nor false")
        macs, moved, operators, peak = (whole(content[name], name) for name in ("macs", "bytes_moved", "operators", "peak_bytes"))
        return cls(macs, moved, operators, convolves, number(content["forward"], "forward"), peak)
