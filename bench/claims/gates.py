"""Which backends may be compared: those whose equivalence gate is open on the network in question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, get_args

from bench.case import Case
from bench.record import Record
from bench.speed.rows import TIMING, backend_of

GateState = Literal["closed", "stale", "not measured", "open"]  # from worst to best
WORST_FIRST: tuple[GateState, ...] = get_args(GateState)
Gates = Mapping[tuple[str, str], bool]  # (network, backend) -> every gate planned and measured is open


def gate_states(
    records: Iterable[Record], fresh: Callable[[Record], bool], planned: Iterable[Case] = ()
) -> dict[tuple[str, str], GateState]:
    """The state of each network and backend, measured on any machine; of several gates the worst counts.

    "closed": a gate failed; "stale": the code has changed since it passed; "not measured": a planned gate has no result.
    """
    states: dict[tuple[str, str], GateState] = {}
    measured = set()

    def add(network: str, backend: str, state: GateState) -> None:
        states[network, backend] = min(states.get((network, backend), "open"), state, key=WORST_FIRST.index)

    for record in records:
        if record.case["probe"] == "equivalence":
            measured.add(record.key)
            state: GateState = "not measured"
            if record.status == "ok":
                state = "closed" if record.value != "pass" else "open" if fresh(record) else "stale"
            add(record.case["network"], record.case["backend"], state)
    for case in planned:
        if case.probe == "equivalence" and case.key not in measured:
            add(case.network, case.backend, "not measured")
    return states


def gates_of(
    records: Iterable[Record], fresh: Callable[[Record], bool], planned: Iterable[Case] = ()
) -> dict[tuple[str, str], bool]:
    """Whether each network and backend may be compared: only if all its gates are open (``gate_states``)."""
    return {pair: state == "open" for pair, state in gate_states(records, fresh, planned).items()}


def comparable(record: Record, gates: Gates) -> bool:
    """Whether a number may be compared with other backends: it is native, or a gate itself, or its backend's gate is open."""
    case = record.case
    backend = backend_of(record.metric) if case["probe"] in TIMING else case["backend"]
    if backend is None:  # a timed row of an unknown name
        return False
    return backend == "native" or case["probe"] == "equivalence" or gates.get((case["network"], backend), False)
