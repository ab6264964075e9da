"""For every claim of every paper, evidence that could not be better: a record of each planned case, with the value claimed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.case import SCALES, Case
from bench.claims import Claim, load_claims
from bench.claims.claim import alternatives
from bench.claims.evidence import matches
from bench.claims.rules import printed_number
from bench.design_space import OF_THE_CELL, cell_of
from bench.plan import papers, plan
from bench.record import Record
from bench.registry import PROBES
from bench.speed.rows import TIMING, backend_of

ROOT = Path(__file__).resolve().parents[2]
PLANNED = {paper: plan(paper, "full", lambda _: True) for paper in papers()}
_CONTENT = {case.key: case.as_dict() for cases in PLANNED.values() for case in cases}
_CASES: dict[str, list[Case]] = {}
HUGE = 10**15  # bytes, beside which no overhead counts
_JITTER = 1e-6  # between seeds


def record_of(case: Case, metric: str, value: Any, **changes: Any) -> Record:
    plain: dict[str, Any] = {
        "case": _CONTENT[case.key], "key": case.key, "metric": metric, "value": value, "unit": "1", "version": 1,
        "detail": {"test images": 10**12, "raw": [value] * 7, "raw native bptt": [1.0] * 7}, "status": "ok", "reason": "",
        "kernel": "", "digest": "new", "versions": {}, "commit": "0" * 40, "machine": "m", "device": "NVIDIA", "threads": 1,
        "precision": PROBES[case.probe].precision, "run": "r", "when": "2026-01-01T00:00:00+00:00",
    }  # fmt: skip
    return Record(**{**plain, **changes})


def sides(claim: Claim) -> list[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
    """(part, "select" or "over", its selector), where a part lists rivals of each of them."""
    parts = [one for part in claim.parts for one in alternatives(part)]
    return [(part, side, part[side]) for part in parts for side in ("select", "over") if side in part]


def backend_behind(selector: Mapping[str, Any]) -> str | None:
    """The backend whose number it selects; None if the metric names no row."""
    return backend_of(selector["metric"]) if selector["probe"] in TIMING else str(selector["backend"])


def cases_of(claim: Claim, selector: Mapping[str, Any], part: Mapping[str, Any]) -> list[Case]:
    asked = repr((claim.paper, claim.scale, selector, part))
    if asked not in _CASES:
        _CASES[asked] = _cases_of(claim, selector, part)
    return _CASES[asked]


def _cases_of(claim: Claim, selector: Mapping[str, Any], part: Mapping[str, Any]) -> list[Case]:
    free = OF_THE_CELL if "cut" in part else ()
    first, last = part.get("from_T", 1), part.get("to_T", 10**9)
    highest = SCALES.index(claim.scale)
    return [
        case
        for case in PLANNED[claim.paper]
        if SCALES.index(case.scale) <= highest
        and first <= case.T <= last
        and matches(selector, _CONTENT[case.key], free)
        and ("cut" not in part or cell_of(_CONTENT[case.key]) is not None)
    ]


def best_value(claim: Claim, part: Mapping[str, Any], side: str, case: Case) -> float | int:
    """A value with which the claim holds."""
    jitter = _JITTER * case.seed
    match part["rule"]:
        case "equivalent":
            assert claim.value is not None
            return claim.value + jitter
        case "within":
            assert claim.value is not None
            base = 50.0 if "over" in part else 0.0
            return (claim.value / part.get("factor", 1) if side == "select" else 0.0) + base + jitter
        case "ratio" | "memory_ratio":
            return HUGE if side == "over" else int(HUGE * (part["low"] + part["high"]) / 2)
        case "at_least":
            return (95.0 if side == "select" else 5.0) + jitter
        case "equal":
            number, _, unit = printed_number(claim.printed)
            return int(number * unit)
        case "flat_in_T":
            return HUGE
        case "affine_in_T":
            return 1000 + 7 * case.T
        case "positive":
            return 0.9 + jitter
        case "lowered_by" | "raised_by":
            cell = cell_of(_CONTENT[case.key])
            assert cell is not None
            has = cell.without(part["cut"], case.T) is not None
            return 50.0 + jitter + (10.0 if has == (part["rule"] == "raised_by") else 0.0)
    raise AssertionError(f"no value known for rule {part['rule']}")


def honest(claim: Claim) -> list[Record]:
    """Of several parts that ask for one metric of one case, all entries of the detail stand in one record."""
    found: dict[tuple[str, str], Record] = {}
    for part, side, selector in sides(claim):
        for case in cases_of(claim, selector, part):
            value = best_value(claim, part, side, case)
            unit = claim.unit if claim.unit in ("%", "points") else "1"
            known = found.get((case.key, selector["metric"]))
            record = record_of(case, selector["metric"], value, unit=unit)
            detail = {**record.detail, **(known.detail if known else {})}
            if "detail" in selector:
                detail[selector["detail"]] = value
            found[case.key, selector["metric"]] = record_of(case, selector["metric"], value, unit=unit, detail=detail)
    return [*found.values(), *(record_of(case, "gate", "pass") for case in gates_of(claim))]


def gates_of(claim: Claim) -> list[Case]:
    """The gates that its evidence stands behind."""
    pairs = {(selector["network"], backend_behind(selector)) for _, _, selector in sides(claim)}
    return [case for case in PLANNED[claim.paper] if case.probe == "equivalence" and (case.network, case.backend) in pairs]


CLAIMS = [
    claim
    for paper in papers()
    for claim in load_claims(ROOT / "reproductions" / paper)
    if claim.parts
    and all(part["rule"] not in ("some_setting", "some_recipe") for part in claim.parts)
    and all(cases_of(claim, selector, part) for part, _, selector in sides(claim))
]
