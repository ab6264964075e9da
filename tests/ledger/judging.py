"""Verdicts on hand-made claims and records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.claims import Claim, Verdict, judge
from bench.record import Record
from tests.ledger.conftest import planned

MakeRecord = Callable[..., Record]
MakeClaim = Callable[..., Claim]


def verdict(claim: Claim, *records: Record, lost: tuple[Record, ...] = ()) -> Verdict:
    """``lost``: planned, and not there."""
    plan = planned(*records, *lost)
    (answer,) = judge([claim], records, lambda r: r.digest == "new", lambda _: plan)
    assert answer.claim == claim
    return answer


def runs(record: MakeRecord, mean: float, **more: Any) -> list[Record]:
    """Three seeds with an interval of +- 0.25."""
    return [record(mean + 0.1 * (seed - 1), seed=seed, **more) for seed in range(3)]


def accuracy(claim: MakeClaim, **more: Any) -> Claim:
    return claim("within", **{"value": 90.0, "tolerance": 1.0, **more})


def parts(claim: MakeClaim, *algorithms: str) -> Claim:
    measures = [claim("positive", select={"algorithm": name}).measure for name in algorithms]
    return claim("positive", measure={"parts": measures})
