"""Which cases start when a run's time is short, and when trainings are stopped."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench import training
from bench.case import Case
from bench.runner.checkpoints import EVERY_S
from bench.runner.limit import START_S, STOPPING_S, Limit

SHORT = Case("p", "count", "net", "bptt", "native", T=1, batch=1)
ALONE = replace(SHORT, probe="clock")
TRAINING = replace(SHORT, probe="training", dataset="digits")
ENDS = 1000.0


def limit(one_gpu: bool = False, **seconds: float) -> Limit:
    """``seconds`` by probe."""
    return Limit(ENDS, lambda case: seconds.get(case.probe, 1.0), one_gpu)


def test_checkpoints_are_expected_as_often_as_trainings_write_them() -> None:
    assert EVERY_S == training.CHECKPOINT_EVERY_S


@pytest.mark.parametrize(("left", "starts"), [(5.0, True), (4.9, False), (-1.0, False)])
def test_short_case_starts_only_if_it_ends_in_time(left: float, starts: bool) -> None:
    assert limit(count=5.0).fits(SHORT, ENDS - left) is starts


@pytest.mark.parametrize(("left", "starts"), [(START_S + EVERY_S, True), (START_S + EVERY_S - 0.1, False)])
def test_training_starts_only_if_it_reaches_a_checkpoint(left: float, starts: bool) -> None:
    assert limit(training=1e6).fits(TRAINING, ENDS - left) is starts


def test_training_that_ends_in_time_starts_without_reaching_a_checkpoint() -> None:
    assert limit(training=3.0).fits(TRAINING, ENDS - 3.0)


def chosen(pending: list[Case], running: list[Case], workers: int = 2, left: float = 500.0, **more: Any) -> int | None:
    return limit(**more).next(pending, running, workers, ENDS - left)


def test_first_case_that_fits_starts() -> None:
    assert chosen([SHORT, TRAINING], []) == 0
    assert chosen([SHORT, replace(SHORT, probe="cost")], [], left=10.0, count=11.0, cost=9.0) == 1
    assert chosen([SHORT], [], left=10.0, count=11.0) is None
    assert chosen([], []) is None


def test_no_case_starts_while_all_workers_are_busy() -> None:
    assert chosen([SHORT], [SHORT, SHORT]) is None
    assert chosen([SHORT], [SHORT]) == 0


def test_case_that_runs_alone_waits_for_short_ones_and_lets_trainings_pass() -> None:
    assert chosen([ALONE, SHORT], []) == 0
    assert chosen([ALONE, SHORT], [SHORT]) is None  # the short one ends soon
    assert chosen([ALONE, SHORT], [TRAINING]) == 1
    assert chosen([SHORT], [ALONE]) is None


def test_one_case_at_a_time_uses_the_only_gpu() -> None:
    assert chosen([TRAINING, SHORT], [TRAINING], one_gpu=True) == 1
    assert chosen([TRAINING, SHORT], [TRAINING]) == 0


def test_training_is_stopped_once_it_has_saved_itself_near_the_end() -> None:
    near = ENDS - STOPPING_S
    assert limit().stops(TRAINING, near, saved=True)
    assert not limit().stops(TRAINING, near - 0.1, saved=True)
    assert not limit().stops(TRAINING, near, saved=False)
    assert not limit().stops(SHORT, near, saved=True)


@pytest.mark.parametrize("case", [SHORT, TRAINING])
def test_every_case_is_stopped_at_the_end(case: Case) -> None:
    assert limit().stops(case, ENDS, saved=False)
