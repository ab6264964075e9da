"""Which backends may be compared: those whose equivalence gate is open on the network in question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from bench.case import Case
from bench.record import Record
from bench.speed.rows import TIMING, backend_of

Gates = Mapping[tuple[str, str], bool]  # (network, backend) -> every gate planned and measured is open


def gates_of(
    records: Iterable[Record], fresh: Callable[[Record], bool], planned: Iterable[Case] = ()
) -> dict[tuple[str, str], bool]:
    """The state of every gate, measured on whatever machine; one that is closed, stale or only planned closes its pair."""
    gates: dict[tuple[str, str], bool] = {}
    measured = set()
    for record in records:
        if record.case["probe"] == "equivalence":
            measured.add(record.key)
            pair = (record.case["network"], record.case["backend"])
            gates[pair] = gates.get(pair, True) and record.status == "ok" and record.value == "pass" and fresh(record)
    for case in planned:
        if case.probe == "equivalence" and case.key not in measured:
            gates[case.network, case.backend] = False
    return gates


def comparable(record: Record, gates: Gates) -> bool:
    """Whether a number may be compared with other backends: it is native, or a gate itself, or its backend's gate is open."""
    case = record.case
    backend = backend_of(record.metric) if case["probe"] in TIMING else case["backend"]
    if backend is None:  # a timed row that nobody knows
        return False
    return backend == "native" or case["probe"] == "equivalence" or gates.get((case["network"], backend), False)
