"""``spikecost speed``: rows in turns, what is kept of them, and the goals they are held to."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from bench.speed.saved import FORMER, Saved
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

import bench.cli as cli
from bench import backends
from bench.errors import UserError
from bench.probes import clock
from bench.speed import draw, goals, pages, rows, saved, turns
from bench.speed.rows import FLOOR, Row, Workload
from bench.speed.turns import Run, Timed

REPOSITORY = Path(__file__).parents[2]
TINY = Workload("r400/fashion-mnist", 3, 4)


def timed(algorithm: str, backend: str, seconds: tuple[float, ...], peak: int | None = 100, **options: int) -> Timed:
    return Timed(Row(algorithm, backend, tuple(options.items())), "", seconds, peak, 1)


RUN = Run(
    Workload("vgg-sws/cifar10", 4, 2),
    "cpu",
    (
        timed(FLOOR, "contiguous", (2.0, 2.0, 2.0), None),
        timed(FLOOR, "channels last", (1.0, 1.0, 1.0), None),
        timed("bptt", "native-fast", (1.2, 1.3, 1.4), 80),
        timed("bptt", "native-balanced", (1.5, 1.5, 1.5), 30),
        timed("bptt", "snntorch", (2.0, 2.6, 2.8), 100),
        timed("bptt", "spikingjelly", (3.0, 3.0, 3.0), 90),
        timed("ottt-a", "native-fast", (2.0, 2.0, 2.0), 10),
        timed("ottt-a", "native-fast", (1.0, 1.0, 1.0), 40, K=4),
        timed("ottt-a", "spikingjelly-shipped", (2.0, 2.0, 2.0), 20),
        timed("ottt-a", "snntorch", (0.1, 0.1, 0.1), 1),
    ),
    {"sltt on native": "a reason"},
    2,
)
SAVED = Saved(RUN, "0123456789ab", "2026-01-02T03:04:05+00:00", {"torch": "2.11"}, saved.digest_of(RUN))


@pytest.fixture(autouse=True)
def no_process_outside_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(turns.platformdirs, "user_cache_dir", lambda _: str(tmp_path / "cache"))


# --------------------------------------------------------------------------- the command


@pytest.fixture
def speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """``speed("--turns", "2", ...)`` on one machine without a GPU, with results of its own."""
    monkeypatch.setattr(cli, "_machine", lambda: "here")
    monkeypatch.setattr("bench.machine.gpu", lambda: None)
    return lambda *arguments: CliRunner().invoke(cli.main, ["speed", "--results", str(tmp_path), *arguments])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[Workload]:
    """In place of timing: every workload has RUN's times. Returns those that were asked for."""
    asked: list[Workload] = []

    def run(workload: Workload, device: str, *, turns: int | None) -> Run:
        asked.append(workload)
        return replace(RUN, workload=workload)

    monkeypatch.setattr(turns, "run", run)
    monkeypatch.setattr(draw, "render", lambda data: json.dumps(data))
    return asked


def test_rows_are_timed_in_processes_and_kept(
    speed: Callable[..., Result], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "workloads", lambda device: [TINY])
    monkeypatch.setattr(
        turns, "rows", lambda _: [Row(FLOOR, "contiguous"), Row("bptt", "native"), Row("bptt", "native", (("no", 1),))]
    )
    ran = speed("--turns", "2")
    assert ran.exit_code == 0, ran.output
    (one,) = saved.load(tmp_path / "speed" / "here")
    assert one.current
    assert one.run.workload == TINY
    assert one.run.threads is not None
    assert one.run.refused.keys() == {"bptt on native (no = 1)"}
    floor, step = one.run.timed
    assert len(floor.seconds) == len(step.seconds) == 2
    assert min(*floor.seconds, *step.seconds) > 0
    assert (floor.peak_bytes, floor.macs) == (None, None)
    assert step.peak_bytes is not None
    assert (tmp_path / "speed" / "here" / "speed.svg").read_text().startswith("<?xml")


def test_one_workload_leaves_the_others_as_they_were(
    speed: Callable[..., Result], quick: list[Workload], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "speed" / "here"
    saved.keep(folder, replace(SAVED, digest="of former code", run=replace(RUN, workload=rows.workloads("cpu")[2])))
    saved.keep(folder, replace(SAVED, run=replace(RUN, workload=rows.workloads("cpu")[1])))
    ran = speed("--workload", "vgg-sws/cifar10/T4")
    assert ran.exit_code == 0, ran.output
    assert quick == [rows.workloads("cpu")[1]]
    timed_now, other = saved.load(folder)
    assert other.commit == "0123456789ab"
    assert timed_now.commit != other.commit
    assert f"vgg-sws/cifar10/T10: 2026-01-02, commit 0123456789, {FORMER}" in ran.output
    page = (folder / "goals.md").read_text()
    assert f"2026-01-02, commit 0123456789, {FORMER} |" in page
    assert f"{timed_now.told} |" in page
    assert FORMER not in timed_now.told
    assert "T = 10, batch 2 (3 turns, former code)" in (folder / "speed.svg").read_text()


def test_what_is_finished_is_kept_when_stopped_and_the_rest_is_named(
    speed: Callable[..., Result], quick: list[Workload], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = turns.run

    def until(workload: Workload, device: str, *, turns: int | None) -> Run:
        if len(quick) == 2:
            raise KeyboardInterrupt
        return whole(workload, device, turns=turns)

    monkeypatch.setattr(turns, "run", until)
    ran = speed("--workload", "lenet/dvs-gesture")
    assert ran.exit_code == cli.INTERRUPTED
    assert "Stopped; 2 of 3 workloads kept; go on with --workload lenet/dvs-gesture/T50" in ran.output
    assert [one.run.workload.T for one in saved.load(tmp_path / "speed" / "here")] == [4, 10]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--workload", "vgg-sws/cifar10/T5"), "unknown workload 'vgg-sws/cifar10/T5': did you mean"),
        (("--turns", str(clock.LEAST - 1)), "Invalid value for '--turns'"),
    ],
    ids=["workload", "turns"],
)
def test_what_cannot_be_timed_is_refused_first(
    speed: Callable[..., Result], quick: list[Workload], tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    ran = speed(*arguments)
    assert ran.exit_code != 0
    assert said in ran.output
    assert not quick
    assert not (tmp_path / "speed").exists()


# --------------------------------------------------------------------------- turns


def test_a_row_whose_process_ends_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns.sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="the process that times bptt on native ended with exit status 1"):
        turns.run(TINY, "cpu", [Row("bptt", "native")])


@pytest.mark.parametrize(("one", "count"), [(0.001, turns.MOST), (6.0, 10), (10.0, turns.LEAST), (100.0, turns.LEAST)], ids=str)
def test_as_many_turns_as_fit_into_a_minute(monkeypatch: pytest.MonkeyPatch, one: float, count: int) -> None:
    def in_turns(steps: Mapping[str, object], repeats: int) -> dict[str, list[float]]:
        clock.require_turns(repeats)
        return {name: [one / len(steps)] * repeats for name in steps}

    monkeypatch.setattr(turns.clock, "in_turns", in_turns)
    found = turns._as_many_as_fit({"a": lambda: None, "b": lambda: None})
    assert [len(seconds) for seconds in found.values()] == [count, count]


def test_workloads_of_two_processes_are_timed_one_after_the_other(capfd: pytest.CaptureFixture[str]) -> None:
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
def test_a_slow_spell_that_falls_on_whole_turns_moves_no_ratio(turns: list[tuple[float, float, float]]) -> None:
    quiet = clock.ratio_in_turns([mine for mine, _, _ in turns], [other for _, other, _ in turns])
    slow = clock.ratio_in_turns([mine * spell for mine, _, spell in turns], [other * spell for _, other, spell in turns])
    assert slow == pytest.approx(quiet, rel=1e-12)
    assert quiet[0] <= quiet[1] <= quiet[2]


@pytest.mark.parametrize("workload", rows.workloads("cpu"), ids=lambda workload: workload.key)
def test_rows_name_every_backend_once(workload: Workload) -> None:
    found = list(rows.rows(workload))
    assert len(set(found)) == len(found)
    assert {row.backend for row in found if row.algorithm != FLOOR} == set(backends.names())


# --------------------------------------------------------------------------- what is kept


def test_a_run_is_read_as_it_was_kept(tmp_path: Path) -> None:
    assert saved.load(tmp_path) == []
    assert saved.keep(tmp_path, SAVED) == [SAVED] == saved.load(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", '{"runs": []}', '{"format": 1, "workloads": []}'])
def test_a_file_that_cannot_be_read_is_named_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "speed.json"
    path.write_text(content)
    with pytest.raises(UserError, match=f"cannot read {re.escape(str(path))}: .*restore it from git, or move it away"):
        saved.keep(tmp_path, SAVED)
    assert path.read_text() == content


def test_the_digest_is_of_the_code_of_network_algorithms_and_backends() -> None:
    one = Run(TINY, "cpu", (timed("bptt", "native", (1.0,)),))
    others = [replace(one, workload=Workload("lenet/dvs-gesture", 3, 4))]
    for algorithm, backend in (("sltt", "native"), ("bptt", "snntorch"), (FLOOR, "contiguous")):
        others.append(replace(one, timed=(timed(algorithm, backend, (1.0,)),)))
    digests = [saved.digest_of(run) for run in (one, *others)]
    assert len(set(digests)) == len(digests)
    assert saved.digest_of(replace(one, workload=Workload(TINY.network, 9, 9))) == digests[0]
    assert saved.digest_of(replace(one, timed=(timed("bptt", "gone", (1.0,)),))) is None


@pytest.mark.parametrize("folder", sorted((REPOSITORY / "results" / "speed").iterdir()), ids=lambda folder: folder.name)
def test_the_table_in_results_is_that_of_the_runs_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (folder / "goals.md").read_text(encoding="utf-8")
    kept = saved.load(folder)
    former = {one.run.workload for one in kept if re.search(rf"\| {one.run.workload} \|.*{FORMER}", page)}
    monkeypatch.setattr(Saved, "current", property(lambda one: one.run.workload not in former))
    assert pages.goals_page(kept) == page


# --------------------------------------------------------------------------- goals


def test_goals_are_ratios_to_the_best_of_the_others() -> None:
    ratios = [ratio for goal in goals.GOALS if (ratio := goal.ratio(RUN)) is not None]
    assert [(round(ratio.value, 6), ratio.ours, ratio.against) for ratio in ratios] == [
        (0.5, "bptt on native-fast", "bptt on snntorch"),
        (1.3, "bptt on native-fast", f"{FLOOR} on channels last"),
        (0.5, "ottt-a on native-fast (K = 4)", "ottt-a on spikingjelly-shipped"),
        (round(30 / 90, 6), "bptt on native-balanced", "bptt on spikingjelly"),
        (0.5, "ottt-a on native-fast", "ottt-a on spikingjelly-shipped"),
    ]


def test_the_table_tells_what_is_met_and_what_was_not_measured() -> None:
    table = goals.table([SAVED])
    row = "| vgg-sws/cifar10, T = 4, batch 2 | **0.50** (0.50 to 0.60, n = 3) | 0.65 | not measured |"
    assert f"| BPTT step, native fast / best framework {row}" in table
    without = replace(SAVED, run=replace(RUN, timed=tuple(t for t in RUN.timed if t.row.algorithm != FLOOR)))
    assert "convolutions alone" not in goals.table([without])
    assert (
        goals.standing([RUN]).splitlines()[0] == "BPTT step, native fast / best framework: met on 1 of 1 workloads, 0.50 to 0.50"
    )


def test_code_that_is_not_known_counts_as_former_code() -> None:
    assert FORMER in goals.table([replace(SAVED, digest=None)])
    assert FORMER not in goals.table([SAVED])
