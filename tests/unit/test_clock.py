"""The options of the clock probe: invalid values are rejected before anything is built."""

from __future__ import annotations

from typing import Any

import pytest

from bench import probes
from bench.case import Case
from bench.errors import UserError
from bench.probes import clock
from bench.speed import timing


@pytest.mark.parametrize("repeats", [1, 0, -3, 2.5, True, None, "7"], ids=repr)
def test_clock_rejects_too_few_turns_before_building_a_step(repeats: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "training_step", lambda *_, **__: pytest.fail("built"))
    case = Case("tests", "clock", "custom/n-mnist", "bptt", "native", 2, 1, options=(("repeats", repeats),))
    with pytest.raises(UserError, match=r"repeats"):
        probes.measure(case)


def test_in_turns_rejects_too_few_turns_before_running_a_step() -> None:
    with pytest.raises(UserError, match="repeats >= 2"):
        timing.in_turns({"a step": lambda: pytest.fail("ran")}, repeats=1)


def test_in_turns_accepts_two_turns() -> None:
    (ratio,) = probes.measure(Case("tests", "clock", "custom/n-mnist", "bptt", "native", 2, 1, options=(("repeats", 2),)))
    low, high = ratio.detail["quartiles"]
    assert len(ratio.detail["raw"]) == 2
    assert low <= float(str(ratio.value)) <= high
