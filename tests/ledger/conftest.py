"""Hand-made claims and records: nothing is measured here."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bench.case import Case
from bench.claims.claim import Claim
from bench.record import Record
from bench.registry import PROBES

MakeRecord = Callable[..., Record]
MakeClaim = Callable[..., Claim]

_CASE_FIELDS = ("probe", "network", "algorithm", "backend", "T", "batch", "dataset", "scale", "seed", "options")


def _record(value: Any = 1, **changes: Any) -> Record:
    """A record of ``value``; ``changes`` are fields of the case or of the record."""
    of_case = {name: changes.pop(name) for name in _CASE_FIELDS if name in changes}
    of_case["options"] = tuple(sorted(dict(of_case.get("options", {})).items()))
    case = Case(**{"paper": "p", "probe": "training", "network": "net", "algorithm": "bptt", "backend": "native",
                   "T": 1, "batch": 1, "scale": "full", **of_case})  # fmt: skip
    if isinstance(value, float) and not math.isfinite(value):
        value = str(value)  # as the store gives it back
    plain = Record(
        case=case.as_dict(), key=case.key, metric="m", value=value, unit="%", version=1,
        detail={"test images": 10**9}, status="ok",
        reason="", kernel="plain", digest="new", versions={}, commit="c", machine="here",
        device="cpu", threads=1, precision=PROBES[case.probe].precision, run="r",
        when="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    return replace(plain, **changes)


def _claim(rule: str = "", /, *, select: Any = None, over: Any = None, **changes: Any) -> Claim:
    """A claim decided by ``rule``; ``over`` names what differs from ``select``, as in claims.toml."""
    known = {
        "value",
        "tolerance",
        "printed",
        "spread",
        "best",
        "n",
        "scale",
        "needs",
        "undecidable",
        "id",
        "measure",
        "paper",
        "assumed",
    }
    of_claim = {name: value for name, value in changes.items() if name in known}
    measure = {"rule": rule, **{name: value for name, value in changes.items() if name not in known}}
    measure["select"] = {"probe": "training", "metric": "m", "algorithm": "bptt", **(select or {})}
    if over is not None:
        measure["over"] = {**measure["select"], **over}
    plain = Claim(
        paper="p", id="c", place="Table 1", statement="it is so", quantity="q", unit="%", printed="1",
        evidence="checked", source="NOTE", measure=measure if rule else {}, basis="hand-made",
    )  # fmt: skip
    return replace(plain, **of_claim)


def case_of(record: Record) -> Case:
    """The case that a record is of."""
    return Case(**{**record.case, "options": tuple(record.case["options"].items())})


def planned(*records: Record) -> list[Case]:
    """A plan of the records' own cases: nothing is lost."""
    return list({record.key: case_of(record) for record in records}.values())


@pytest.fixture(scope="session")
def record() -> MakeRecord:
    return _record


@pytest.fixture(scope="session")
def claim() -> MakeClaim:
    return _claim
