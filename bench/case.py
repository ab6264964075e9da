"""A case: one measurement that a paper's plan asks for. Imports no torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from bench.errors import UserError, choose
from bench.registry import PROBE_OPTIONS, PROBES

SCALES = ("smoke", "laptop", "full")


@dataclass(frozen=True)
class Case:
    """One measurement, made in its own process. Equal cases are the same measurement."""

    paper: str
    probe: str
    network: str
    algorithm: str
    backend: str
    T: int
    batch: int
    dataset: str = "none"  # cost depends on shapes alone and needs no data
    scale: str = "laptop"  # the least scale whose plan contains this case
    seed: int = 0
    options: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        choose("probe", self.probe, PROBES)
        choose("scale", self.scale, SCALES)
        for name in ("T", "batch", "seed"):
            if type(getattr(self, name)) is not int:
                raise UserError(f"{name} = {getattr(self, name)!r} is no whole number; use one, e.g. {name} = 1")
        if self.T < 1:
            raise UserError(f"T = {self.T}: a sample has at least one time step; use T >= 1")
        if self.batch < 1:
            raise UserError(f"batch = {self.batch}: a batch has at least one sample; use batch >= 1")

    @property
    def settings(self) -> dict[str, Any]:
        return dict(self.options)

    @property
    def algorithm_options(self) -> dict[str, Any]:
        """The options of algorithm, loss and optimizer."""
        return {name: value for name, value in self.options if name not in PROBE_OPTIONS}

    @property
    def probe_options(self) -> dict[str, Any]:
        return {name: value for name, value in self.options if name in PROBE_OPTIONS}

    @property
    def key(self) -> str:
        """Readable identity. ``scale`` is left out: it decides when a case is run, not what is measured."""
        parts = [self.paper, self.probe, self.dataset, self.network, self.algorithm, self.backend]
        parts += [f"T{self.T}", f"b{self.batch}", f"s{self.seed}"]
        parts += [f"{name}={json.dumps(value)}" for name, value in sorted(self.options)]
        return "/".join(parts)

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "options": self.settings}
