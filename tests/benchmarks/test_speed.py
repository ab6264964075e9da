"""``spikecost speed`` and its probe: rows in turns, their records in the store, and the goals judged from them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import bench.cli as cli
from bench import backends, probes
from bench.case import SCALES, Case
from bench.claims import judge, load_claims
from bench.claims.judge import planned_by
from bench.commands import measuring
from bench.digest import closure
from bench.errors import Unavailable, UserError, no
from bench.machine import usable_cores
from bench.measurement import Measurement
from bench.places import CODE
from bench.plan import conditions, digest_of, plan
from bench.probes import speed
from bench.probes.resources import Resources
from bench.record_store import Store
from bench.registry import PROBES
from bench.runner.worker import Outcome
from bench.speed import timing, turns
from bench.speed.rows import FLOOR, TIMING, Row, Workload, backend_of, rows
from bench.speed.turns import Timed

TINY = Workload("r400/fashion-mnist", 3, 4)
NATIVE = plan("native", "full", lambda _: True)
TIMED = [case for case in NATIVE if case.probe == "speed"]
CASE = TIMED[0]


@pytest.fixture(autouse=True)
def no_process_outside_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(turns.platformdirs, "user_cache_dir", lambda _: str(tmp_path / "cache"))


# --------------------------------------------------------------------------- the probe


@pytest.mark.slow
def test_speed_times_each_row_in_its_own_process_and_records_why_one_is_rejected() -> None:
    wanted = [Row(FLOOR, "contiguous"), Row("bptt", "native"), Row("bptt", "native", (("no", 1),))]
    floor, step, refused = speed.measured(TINY, wanted, "cpu", 1, 3)
    assert [m.metric for m in (floor, step, refused)] == [str(row) for row in wanted]
    for timed in (floor, step):
        assert len(timed.detail["raw"]) == 3
        assert timed.value == sorted(timed.detail["raw"])[1] > 0
        assert timed.unit == "s"
    assert step.detail["backend"] == "native"
    assert step.detail["kernel"] == "torch"
    assert refused.value is None
    assert "has no option 'no'" in refused.detail["refused"]


@pytest.mark.parametrize(
    ("case", "told"),
    [
        (replace(CASE, backend="native-fast"), "times every row of a workload"),
        (replace(CASE, options=(("turns", 1),)), "turns = 1"),
        (replace(CASE, options=(("repeats", 7),)), "has no option 'repeats'"),
        (replace(CASE, probe="cuda-speed"), "needs an NVIDIA GPU"),
    ],
    ids=["row", "turns", "option", "gpu"],
)
def test_speed_rejects_unsupported_rows_before_a_process_starts(case: Case, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "run", lambda *_: pytest.fail("started"))
    with pytest.raises(UserError, match=told):
        probes.measure(case)


def test_speed_times_nothing_unless_every_backend_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the best of those that are left would be beaten."""
    monkeypatch.setattr(speed, "run", lambda *_: pytest.fail("started"))
    there = backends.available
    monkeypatch.setattr(backends, "available", lambda name: no("it is not installed") if name == "snntorch" else there(name))
    with pytest.raises(Unavailable, match="backend snntorch, which the others are compared with: it is not installed"):
        probes.measure(CASE)


def test_speed_probe_times_every_row_with_the_threads_of_its_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def run(workload: Workload, wanted: list[Row], device: str, threads: int, turns: int | None) -> list[Timed]:
        asked.append((workload, device, threads, turns))
        return [Timed(row, "k", (1.0, 2.0, 3.0)) for row in wanted]

    monkeypatch.setattr(speed, "run", run)
    monkeypatch.setattr(backends, "available", lambda _: True)
    data: Any = None
    found = speed.measure(CASE, Resources(data, "cpu", threads=5))
    assert asked == [(Workload(CASE.network, CASE.T, CASE.batch), "cpu", 5, None)]
    assert {m.metric for m in found} == set(map(str, rows(CASE.T)))
    assert conditions(CASE, None).threads == usable_cores()
    assert conditions(replace(CASE, probe="clock"), None).threads == 1


def test_speed_digest_includes_the_code_of_every_row_and_of_the_timing(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"bench.speed.floor", "bench.speed.worker", "bench.speed.turns", "bench.speed.timing"}
    assert names <= set(closure([PROBES["speed"].module], CODE))
    before = digest_of(CASE)
    fewer = replace(PROBES["speed"], against=tuple(pair for pair in PROBES["speed"].against if pair[1] != "spikingjelly-memopt"))
    monkeypatch.setattr("bench.plan.PROBES", {**PROBES, "speed": fewer})
    assert digest_of(CASE) != before


# --------------------------------------------------------------------------- turns


def test_speed_error_names_the_row_whose_process_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns.sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="the process that times bptt on native ended with exit status 1"):
        turns.run(TINY, [Row("bptt", "native")], "cpu", 1)


@pytest.mark.parametrize(("one", "count"), [(0.001, turns.MOST), (6.0, 10), (9.9, turns.LEAST), (100.0, turns.LEAST)], ids=str)
def test_number_of_turns_is_what_fits_into_a_minute(monkeypatch: pytest.MonkeyPatch, one: float, count: int) -> None:
    def in_turns(steps: Mapping[str, object], repeats: int) -> dict[str, list[float]]:
        timing.require_turns(repeats)
        return {name: [one / len(steps)] * repeats for name in steps}

    monkeypatch.setattr(turns.timing, "in_turns", in_turns)
    found = turns._as_many_as_fit({"a": lambda: None, "b": lambda: None})
    assert [len(seconds) for seconds in found.values()] == [count, count]


def test_speed_of_two_processes_is_timed_one_after_the_other(capfd: pytest.CaptureFixture[str]) -> None:
    order = []

    def other() -> None:
        with turns.alone():
            order.append("other")

    with turns.alone():
        waiting = threading.Thread(target=other)
        waiting.start()
        waiting.join(0.3)
        order.append("first")
    waiting.join(30)
    assert order == ["first", "other"]
    assert "another process times a workload on this machine: waiting" in capfd.readouterr().err


@given(
    turns=st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(1, 50)), min_size=5, max_size=25),
)
def test_ratios_do_not_change_if_whole_turns_are_slow(turns: list[tuple[float, float, float]]) -> None:
    quiet = timing.ratio_in_turns([mine for mine, _, _ in turns], [other for _, other, _ in turns])
    slow = timing.ratio_in_turns([mine * spell for mine, _, spell in turns], [other * spell for _, other, spell in turns])
    assert slow == pytest.approx(quiet, rel=1e-12)
    assert quiet[0] <= quiet[1] <= quiet[2]


# --------------------------------------------------------------------------- rows


def test_rows_include_every_backend_and_are_unique() -> None:
    found = list(rows(10))
    assert len(set(map(str, found))) == len(found)
    assert {row.backend for row in found if row.algorithm != FLOOR} == set(backends.names())
    assert PROBES["cuda-speed"].against == PROBES["speed"].against


def test_backend_of_a_row_is_read_from_its_metric() -> None:
    assert {str(row): backend_of(str(row)) for row in rows(4)} == {
        str(row): "native" if row.algorithm == FLOOR else row.backend for row in rows(4)
    }


# --------------------------------------------------------------------------- the command


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    page = root / "reproductions" / "native"
    page.mkdir(parents=True)
    for name in ("claims.toml", "paper.toml", "README.md"):
        (page / name).write_bytes((CODE / "reproductions" / "native" / name).read_bytes())
    (root / "README.md").write_text("# a project\n")
    return root


@pytest.fixture
def command(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """``command("--workload", ...)`` on a machine without a GPU, in a project of its own; no figure is drawn."""
    monkeypatch.setattr(measuring, "_gpu", lambda: None)
    monkeypatch.setattr("bench.figures.FIGURES", ())
    return lambda *arguments: CliRunner().invoke(cli.main, ["speed", "--project", str(project), *arguments])


SECONDS = {"bptt on native-fast": 1.2, "bptt on snntorch": 2.0, f"{FLOOR}, contiguous": 1.3, f"{FLOOR}, channels last": 1.0}


def outcome(case: Case) -> Outcome:
    """What the cases would have measured: every row takes 3 seconds and 1000 bytes but for some that are better."""
    if case.probe == "equivalence":
        found = [Measurement("gate", "pass", "pass/fail")]
    elif case.probe == "cost":
        found = [Measurement("peak_live_bytes", 300 if case.backend == "native-balanced" else 1000, "B")]
    else:
        found = [
            Measurement(str(row), seconds, "s", detail={"raw": [seconds] * 7})
            for row in rows(case.T)
            for seconds in [SECONDS.get(str(row), 3.0)]
        ]
    how = conditions(case, None)
    return Outcome("ok", "", tuple(found), "torch", how.device, how.threads, how.precision)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """In place of measuring. Returns the cases that were asked for."""
    asked: list[Case] = []

    def run(cases: list[Case], keep: Callable[[Case, Outcome], None], *_: Any, **__: Any) -> None:
        for case in cases:
            asked.append(case)
            keep(case, outcome(case))

    monkeypatch.setattr("bench.runner.run.run", run)
    return asked


def verdicts(project: Path) -> dict[str, str]:
    claims = load_claims(project / "reproductions" / "native")
    records = Store(project / "results").load("native")[0]
    return {v.claim.id: v.verdict for v in judge(claims, records, lambda _: True, planned_by)}


def test_goals_are_judged_from_the_records_of_their_workload_alone(
    command: Callable[..., Result], quick: list[Case], project: Path
) -> None:
    ran = command("--workload", "lenet/dvs-gesture/T4")
    assert ran.exit_code == 0, ran.output
    assert {case.probe for case in quick} == {"speed", "cost", "equivalence"}
    assert {case.network for case in quick} == {"lenet/dvs-gesture"}
    assert {case.T for case in quick if case.probe != "equivalence"} == {4}
    found = verdicts(project)
    assert {name: verdict for name, verdict in found.items() if verdict != "not attempted"} == {
        "cpu-bptt-framework-lenet-T4": "reproduced",  # 1.2 / 2.0
        "cpu-bptt-floor-lenet-T4": "reproduced",  # 1.2 / 1.0
        "cpu-ottt-lenet-T4": "not reproduced",
        "bytes-bptt-lenet-T4": "reproduced",
        "bytes-ottt-lenet-T4": "not reproduced",
    }
    assert "71 claims: 3 reproduced, 2 not reproduced, 66 not attempted" in ran.output
    assert "lenet/dvs-gesture, T = 4, batch 5 (7 turns): time over the convolutions alone" in ran.output
    assert "    1.20    1.20 to   1.20  bptt on native-fast\n" in ran.output


def test_goals_do_not_improve_if_a_row_or_gate_is_lost(command: Callable[..., Result], quick: list[Case], project: Path) -> None:
    assert command("--workload", "lenet/dvs-gesture/T4").exit_code == 0
    claims = [claim for claim in load_claims(project / "reproductions" / "native") if claim.id == "cpu-bptt-framework-lenet-T4"]
    records = Store(project / "results").load("native")[0]
    for metric in ("bptt on snntorch", "bptt on spikingjelly", "bptt on native-fast"):
        (verdict,) = judge(claims, [r for r in records if r.metric != metric], lambda _: True, planned_by)
        assert verdict.verdict in ("cannot tell", "not attempted")
        behind = [r for r in records if (r.case["probe"], r.case["backend"]) != ("equivalence", backend_of(metric))]
        (verdict,) = judge(claims, behind, lambda _: True, planned_by)
        assert verdict.verdict in ("cannot tell", "not attempted")


def test_speed_does_not_time_finished_workloads_again(command: Callable[..., Result], quick: list[Case]) -> None:
    assert command("--workload", "resnet18/cifar10/T10").exit_code == 0
    first = list(quick)
    again = command("--workload", "resnet18/cifar10")
    assert again.exit_code == 0, again.output
    assert not {case.key for case in first} & {case.key for case in quick[len(first) :]}
    assert {case.T for case in quick[len(first) :] if case.probe == "speed"} == {4, 50}


def test_goals_are_not_judged_from_a_trial(command: Callable[..., Result], quick: list[Case], project: Path) -> None:
    ran = command("--workload", "lenet/dvs-gesture/T4", "--turns", "2")
    assert ran.exit_code == 0, ran.output
    assert [case.settings for case in quick] == [{"turns": 2}]
    assert "its records judge no goal" in ran.output
    assert set(verdicts(project).values()) == {"not attempted"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--workload", "vgg-sws/cifar10/T5"), "unknown workload 'vgg-sws/cifar10/T5': did you mean"),
        (("--turns", str(timing.LEAST - 1)), "Invalid value for '--turns'"),
    ],
    ids=["workload", "turns"],
)
def test_speed_rejects_unknown_workloads_and_too_few_turns_first(
    command: Callable[..., Result], quick: list[Case], arguments: tuple[str, ...], said: str
) -> None:
    ran = command(*arguments)
    assert ran.exit_code != 0
    assert said in ran.output
    assert not quick


def test_speed_uses_the_gpu_if_there_is_one(
    command: Callable[..., Result], quick: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "_gpu", lambda: "NVIDIA H100")
    ran = command("--workload", "lenet/dvs-gesture/T4", "--turns", "2")
    assert ran.exit_code == 0, ran.output
    assert [(case.probe, case.batch) for case in quick] == [("cuda-speed", 160)]


def test_speed_is_planned_at_scale_full_alone() -> None:
    assert all(not plan("native", scale, lambda _: True) for scale in SCALES[:-1])
    assert {case.probe for case in NATIVE} == {"equivalence", "cost", *TIMING}
