"""What a page says of equivalence gates: open, closed, stale or not measured."""

from __future__ import annotations

from typing import Any

import pytest

from bench.case import Case
from bench.claims.gates import gate_states, gates_of
from bench.record import Record


def gate(T: int = 3) -> Case:
    return Case("p", "equivalence", *("resnet18/cifar10", "bptt", "snntorch"), T=T, batch=2)


def record(case: Case, value: Any, status: Any = "ok") -> Record:
    fields: dict[str, Any] = {"metric": "gate", "unit": "pass/fail", "version": 1, "detail": {}, "reason": "", "kernel": ""}
    fields |= {
        "digest": "d",
        "versions": {},
        "commit": "c",
        "machine": "m",
        "device": "cpu",
        "threads": 1,
        "run": "r",
        "when": "w",
    }
    return Record(case=case.as_dict(), key=case.key, value=value, status=status, precision="float64", **fields)


@pytest.mark.parametrize(
    ("records", "fresh", "state"),
    [
        ([record(gate(), "pass")], True, "open"),
        ([record(gate(), "pass")], False, "stale"),
        ([record(gate(), "fail")], True, "closed"),
        ([record(gate(), None, "unsupported")], True, "not measured"),
        ([], True, "not measured"),
        ([record(gate(4), "pass")], True, "not measured"),  # one of two planned gates
        ([record(gate(4), "fail")], True, "closed"),
    ],
)
def test_a_page_says_of_a_gate_whether_it_was_measured(records: list[Record], fresh: bool, state: str) -> None:
    arguments = (records, lambda _: fresh, [gate()])
    assert gate_states(*arguments) == {("resnet18/cifar10", "snntorch"): state}
    assert gates_of(*arguments) == {("resnet18/cifar10", "snntorch"): state == "open"}
