"""`spikecost plan --forecast` and `spikecost run --budget`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.case import Case
from bench.commands.duration import seconds_of, words_of
from bench.errors import UserError
from bench.runner.limit import Limit
from bench.runner.worker import Outcome
from tests.command.calling import COUNTS, Invoke, complaint
from tests.command.test_runs import quick


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("25m", 1500), ("3h", 10800), ("1.5 h", 5400), (" 2m ", 120)])
def test_budget_is_a_number_with_its_unit(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "25", "m", "-3h", "0s", "3d", "3hours", "1h30m", "nan s", "1e3s"])
def test_budget_without_a_number_or_unit_is_refused_with_the_remedy(text: str, invoke: Invoke) -> None:
    with pytest.raises(UserError, match=r"is not a time: write a number above 0 with its unit s, m or h, e\.g\. 90s, 25m or 3h"):
        seconds_of(text)
    assert complaint(invoke(*COUNTS, "--budget", text)).startswith(f"--budget {text!r} is not a time")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "under 1 s"), (42, "42 s"), (119, "119 s"), (600, "10 min"), (200, "3.3 min"), (9144, "2.5 h"), (4e6, "1,111 h")],
)
def test_time_in_words_has_the_unit_that_suits_it(seconds: float, words: str) -> None:
    assert words_of(seconds) == words


@pytest.fixture
def partly(monkeypatch: pytest.MonkeyPatch) -> list[Limit]:
    """A run measures the first three of its cases; the limits that it was given."""
    given: list[Limit] = []

    def run(cases: list[Case], keep: Callable[[Case, Outcome], None], listener: Any, *, limit: Limit, **more: Any) -> None:
        given.append(limit)
        quick(cases[:3], keep, listener)

    monkeypatch.setattr("bench.runner.run.run", run)
    monkeypatch.setattr("bench.commands.forecasting.write_report", lambda *_: None)
    return given


def test_run_with_a_budget_says_in_one_line_what_was_done_what_is_left_and_how_it_goes_on(
    invoke: Invoke, partly: list[Limit]
) -> None:
    again = "spikecost run ottt --scale smoke --only /count/ --budget 90s"
    said = invoke(*COUNTS, "--budget", "90s").output
    assert "\nscale smoke: 7 cases, 7 to measure on " in said
    assert said.endswith(f"\nMeasured 3 cases (3 ok); left: 4 cases, 2 s. Go on: {again}\n")
    assert invoke(*again.split()[1:]).output.endswith(f"left: 1 case, under 1 s. Go on: {again}\n")
    assert invoke(*again.split()[1:]).output.endswith("\nMeasured 1 case (1 ok); nothing is left that can be measured here.\n")
    assert invoke(*again.split()[1:]).output.endswith("\nMeasured 0 cases; nothing is left that can be measured here.\n")
    assert len(partly) == 3


def test_run_with_a_budget_leaves_a_tenth_for_the_report_and_a_minute_at_most(
    invoke: Invoke, partly: list[Limit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.commands.forecasting.time.monotonic", lambda: 1000.0)
    for budget, ends in (("90s", 1081.0), ("1h", 4540.0)):
        invoke(*COUNTS, "--retry", "--budget", budget)
        assert partly[-1].ends == ends


def test_cases_that_cannot_be_measured_here_are_left_out_and_told(
    invoke: Invoke, partly: list[Limit], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.machine._gpus", list)
    said = invoke("run", "ottt", "--scale", "full", "--only", "/cuda-memory/", "--budget", "1m").output
    assert re.search(r"\nMeasured 0 cases; nothing is left .* here; 160 cases cannot be measured here: 160 needs a GPU\.\n", said)
    assert partly == []


def test_forecast_shows_hours_memory_data_and_claims_of_each_case(
    invoke: Invoke, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn", reason="the digits are part of scikit-learn")
    said = invoke("plan", "ottt", "--scale", "smoke", "--forecast").output
    assert re.search(r"\n +0?\d\S* \S+ +\S+ [KMG]iB  counted +ottt/training/digits/vgg-sws-small/digits/ottt-a/\S+\n", said), said
    assert re.search(r"\n +under 1 s +typical +ottt/count/none/vgg-sws/cifar10/bptt/native/T1/b1/s0: \S+", said), said
    assert re.search(r"\n  \S+ \w+ in all, one case after another\n", said), said
    assert re.search(
        r"\n  counted steps take what they take at this machine's rates: \S+ billion MACs/s in matrix products", said
    )
    assert (root / "results" / "scratch" / "work.json").exists()
