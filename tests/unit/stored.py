"""Hand-made records and a store with known machines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bench.case import Case
from bench.record import Record
from bench.record_store import Store

CASE = Case("p", "cost", "net", "bptt", "native", T=2, batch=3, options=(("k", 1),))
WHAT = {"cpu": "x", "cores": 2, "memory_gib": 8, "os": "Linux", "architecture": "x86_64", "gpus": []}


def known(root: Path, *machines: str) -> Store:
    """A store that knows what these machines are (default: m)."""
    store = Store(root)
    for name in machines or ("m",):
        store.describe(name, WHAT)
    return store


def record(metric: str = "peak", value: float | int | str | None = 1, T: int = 2, **changes: object) -> Record:
    """Of one case; a case of another T has another key."""
    case = replace(CASE, T=T)
    plain = Record(
        case=case.as_dict(),
        key=case.key,
        metric=metric,
        value=value,
        unit="B",
        version=1,
        detail={"inputs": [1, 2]},
        status="ok",
        reason="",
        kernel="plain",
        digest="abc",
        versions={"torch": "2"},
        commit="0123456789ab",
        machine="m",
        device="cpu",
        threads=1,
        precision="float32",
        run="r",
        when="2026-01-01T00:00:00Z",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]
