"""What a rule finds in hand-made records."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.claims import rules
from bench.claims.claim import Claim
from bench.claims.estimate import T_95
from bench.claims.evidence import Evidence, Plan
from bench.claims.rules import Finding, Missing
from bench.design_space import Cell, setting
from bench.record import Record
from tests.ledger.conftest import planned

MakeRecord = Callable[..., Record]
MakeClaim = Callable[..., Claim]


def find(claim: Claim, *records: Record, lost: Sequence[Record] = ()) -> Finding | Missing:
    """``lost``: planned, and not there."""
    (measure,) = claim.parts
    return rules.find(claim, measure, Evidence(records, Plan(planned(*records, *lost))))


def found(claim: Claim, *records: Record, lost: Sequence[Record] = ()) -> Finding:
    finding = find(claim, *records, lost=lost)
    assert isinstance(finding, Finding), finding
    return finding


def seeds(record: MakeRecord, *values: Any, **more: Any) -> list[Record]:
    """One record a seed."""
    return [record(value, seed=seed, **more) for seed, value in enumerate(values)]


def around(record: MakeRecord, mean: float, half: float, **more: Any) -> list[Record]:
    """Three seeds whose interval is mean +- half."""
    step = half * math.sqrt(3) / T_95[1]
    return seeds(record, mean - step, mean, mean + step, **more)


def runs(record: MakeRecord, accuracies: Mapping[Cell, Sequence[float]], **more: Any) -> list[Record]:
    """One record a cell and seed."""
    found = []
    for cell, values in accuracies.items():
        algorithm, own = setting(cell, 10)
        here = {"algorithm": algorithm, "T": 10, **more, "options": {**own, **more.get("options", {"lr": 0.1})}}
        found += [record(value, seed=seed, **here) for seed, value in enumerate(values)]
    return found
