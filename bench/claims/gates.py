"""Which backends may be compared: those whose equivalence gate is open on the network in question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.spec import Record

Gates = Mapping[tuple[str, str], bool]  # (network, backend) -> every gate measured is open


def gates_of(records: Iterable[Record]) -> dict[tuple[str, str], bool]:
    """The state of every gate that was measured, on whatever machine; one closed gate closes the pair."""
    gates: dict[tuple[str, str], bool] = {}
    for record in records:
        if record.case["probe"] == "equivalence":
            pair = (record.case["network"], record.case["backend"])
            gates[pair] = gates.get(pair, True) and record.value == "pass"
    return gates


def comparable(record: Record, gates: Gates) -> bool:
    """Whether a number may stand beside those of other backends: the native one's, a gate itself, or behind an open gate."""
    case = record.case
    native = case["backend"] == "native" or case["probe"] == "equivalence"
    return native or gates.get((case["network"], case["backend"]), False)
