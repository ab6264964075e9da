"""A case: one measurement that a paper's plan asks for. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self, TypedDict

from bench.errors import UserError, choose
from bench.registry import DATA_SETS, PROBE_OPTIONS, PROBES

SCALES = ("smoke", "laptop", "night", "full")
NO_DATA = "none"  # the data set of a case that needs none

Settings = dict[str, Any]  # options by name; Any: they are unpacked as keyword arguments


class CaseFields(TypedDict):
    """A case as records hold it."""

    paper: str
    probe: str
    network: str
    algorithm: str
    backend: str
    T: int
    batch: int
    dataset: str
    scale: str
    seed: int
    options: Mapping[str, object]


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
    dataset: str = NO_DATA  # cost depends on shapes alone and needs no data
    scale: str = "laptop"  # the least scale whose plan contains this case
    seed: int = 0
    options: tuple[tuple[str, object], ...] = ()

    def __post_init__(self) -> None:
        choose("probe", self.probe, PROBES)
        choose("scale", self.scale, SCALES)
        choose("data set", self.dataset, (NO_DATA, *DATA_SETS))
        for name in ("T", "batch", "seed"):
            if type(getattr(self, name)) is not int:
                raise UserError(f"{name} = {getattr(self, name)!r} is not a whole number; use one, e.g. {name} = 1")
        if self.T < 1:
            raise UserError(f"T = {self.T}: a sample has at least one time step; use T >= 1")
        if self.batch < 1:
            raise UserError(f"batch = {self.batch}: a batch has at least one sample; use batch >= 1")

    @property
    def settings(self) -> Settings:
        return dict(self.options)

    @property
    def algorithm_options(self) -> Settings:
        """The options of algorithm, loss and optimizer."""
        return {name: value for name, value in self.options if name not in PROBE_OPTIONS}

    @property
    def probe_options(self) -> Settings:
        return {name: value for name, value in self.options if name in PROBE_OPTIONS}

    @property
    def key(self) -> str:
        """Readable identity. ``scale`` is left out: it decides when a case is run, not what is measured."""
        parts = [self.paper, self.probe, self.dataset, self.network, self.algorithm, self.backend]
        parts += [f"T{self.T}", f"b{self.batch}", f"s{self.seed}"]
        parts += [f"{name}={json.dumps(value)}" for name, value in sorted(self.options)]
        return "/".join(parts)

    def as_dict(self) -> CaseFields:
        return {
            "paper": self.paper, "probe": self.probe, "network": self.network, "algorithm": self.algorithm,
            "backend": self.backend, "T": self.T, "batch": self.batch, "dataset": self.dataset, "scale": self.scale,
            "seed": self.seed, "options": self.settings,
        }  # fmt: skip

    @classmethod
    def of(cls, record: CaseFields) -> Self:
        """The case that a record holds. Raises UserError if it is not a valid case, e.g. one of an older version."""
        differ = sorted({field.name for field in fields(cls)} ^ record.keys())
        if differ:
            raise UserError(f"{differ[0]} is missing, or no field of a case")
        if not isinstance(record["options"], Mapping):
            raise UserError(f"options = {record['options']!r} is not a table")
        return cls(
            record["paper"], record["probe"], record["network"], record["algorithm"], record["backend"], record["T"],
            record["batch"], record["dataset"], record["scale"], record["seed"], tuple(record["options"].items()),
        )  # fmt: skip
