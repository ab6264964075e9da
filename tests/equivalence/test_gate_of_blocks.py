"""The equivalence gate for local training: auxiliary classifiers are included, and broken neurons still fail."""

from __future__ import annotations

from typing import Any

import pytest

from bench import backends, probes
from bench.case import Case
from bench.probes.equivalence import CONTROLS
from reproductions.ttl_bptt.cases import cases

GATES = [case for case in cases(lambda _: True) if case.probe == "equivalence"]


def test_gate_of_local_algorithms_is_planned_on_every_framework() -> None:
    assert {(case.algorithm, case.backend) for case in GATES} == {
        (algorithm, backend)
        for algorithm in ("local", "ttl-bptt")
        for backend in ("spikingjelly", "spikingjelly-multistep", "snntorch")
    }


@pytest.mark.parametrize("case", GATES, ids=lambda case: f"{case.algorithm}-{case.backend}")
def test_frameworks_equal_native_for_local_training(case: Case) -> None:
    available = backends.available(case.backend)
    if not available:
        pytest.skip(available.reason)
    (gate,) = probes.measure(case)
    detail: Any = gate.detail
    assert gate.value == "pass", detail
    assert 0.01 < detail["firing rate"] < 0.9
    assert set(detail["broken neurons that fail"]) == set(CONTROLS)
