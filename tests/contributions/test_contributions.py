"""Records from elsewhere: what is wrong with them is said by line with a remedy; what is sound is added, once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bench.case import Case
from bench.claims.judge import planned_by
from bench.contributions.check import problems, store_of
from bench.contributions.metrics import METRICS, problem_of
from bench.contributions.take import take
from bench.errors import UserError
from bench.machine import Identity, machine_id
from bench.plan import papers
from bench.record import Record
from bench.record_store import Store
from bench.registry import PROBES, UNITS
from tests.unit.stored import record

WHAT: Identity = {
    "cpu": "Some CPU", "cores": 8, "memory_gib": 64, "os": "Linux", "architecture": "x86_64", "python": "3.12.1",
    "gpus": ["NVIDIA H100"],
}  # fmt: skip
MACHINE = machine_id(WHAT)
NOW = datetime(2026, 3, 1, tzinfo=UTC)
PLANNED = planned_by("ottt")
TRAINING = next(case for case in PLANNED if case.probe == "training" and case.scale == "full")
COUNT = next(case for case in PLANNED if case.probe == "count")
GATE = next(case for case in PLANNED if case.probe == "equivalence")


def of(case: Case, metric: str, value: float | str | None, unit: str, **changes: Any) -> Record:
    plain = {"case": case.as_dict(), "key": case.key, "machine": MACHINE, "digest": "here", "device": "NVIDIA H100"}
    plain |= {"precision": PROBES[case.probe].precision, "detail": {}} | ({} if case.probe == "training" else {"device": "cpu"})
    return record(metric, value, unit=unit, **{**plain, **changes})


def trained(**changes: Any) -> list[Record]:
    return [of(TRAINING, "epoch 1", 50.0, "%", **changes), of(TRAINING, "test_accuracy", 93.0, "%", **changes)]


def handed_in(root: Path, *cases: list[Record]) -> Store:
    store = Store(root / "handed in")
    store.describe(MACHINE, WHAT)
    for records in cases:
        store.append("ottt", MACHINE, records)
    return store


def told(store: Store) -> list[str]:
    return list(problems(store, {"ottt": PLANNED, "sltt": []}, lambda _: "here", NOW))


SOUND = (trained(), [of(COUNT, "parameters", 5, "1")], [of(GATE, "gate", "pass", "pass/fail")])


def test_sound_folder_has_no_problems(tmp_path: Path) -> None:
    assert told(handed_in(tmp_path, *SOUND)) == []


BROKEN: dict[str, tuple[Callable[[], list[Record]], str]] = {
    "other code": (lambda: trained(digest="there"), r"other code .*digest there, commit 0123456789ab; here here\); measure it"),
    "uncommitted": (lambda: trained(commit="0123456789ab+"), r"an uncommitted tree .*; commit the code, delete these lines"),
    "not planned": (lambda: [of(replace(COUNT, T=2), "parameters", 5, "1")], r"nothing here plans this case .*; delete"),
    "no GPU": (lambda: trained(device="meta"), r"nothing here plans this case on such a device.*; delete its lines"),
    "to come": (lambda: trained(when="2026-03-03T00:00:00Z"), r"measured at 2026-03-03.*to come; set the clock"),
    "failed": (
        lambda: [of(TRAINING, "none", None, "", status="failed", reason="diverged")],
        r"it failed \(diverged\); measure it again with --retry",
    ),
    "crashed": (lambda: [of(TRAINING, "none", None, "", status="crashed", reason="x")], r"it crashed .*; measure it again"),
    "not finite": (lambda: [of(TRAINING, "test_accuracy", "nan", "%")], r"test_accuracy = 'nan' is not a finite number; delete"),
    "no value": (lambda: [of(COUNT, "parameters", None, "1")], r"parameters = None is not a finite number; delete"),
    "a number for a text": (lambda: [of(GATE, "gate", 1, "pass/fail")], r"gate = 1 is not a finite number; delete"),
    "unknown metric": (lambda: [of(COUNT, "parametres", 5, "1")], r"probe count measures no 'parametres'; delete the line"),
    "unit": (lambda: [of(COUNT, "parameters", 5, "M")], r"parameters is in 'M' and not in '1'; delete the line"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", BROKEN)
def test_record_that_would_not_be_believed_is_one_line_with_its_remedy(tmp_path: Path, wrong: str) -> None:
    records, said = BROKEN[wrong]
    store = handed_in(tmp_path, SOUND[2] if wrong != "a number for a text" else SOUND[1], records())
    (line,) = told(store)
    assert line.startswith(f"{store.path('ottt', MACHINE)}: {records()[0].key}: ")
    assert re.search(said, line), line


def test_failure_that_a_success_followed_is_no_problem(tmp_path: Path) -> None:
    failure = of(TRAINING, "none", None, "", status="failed", when="2025-12-31T00:00:00Z", run="first")
    assert told(handed_in(tmp_path, [failure], trained())) == []


def test_lines_that_cannot_be_read_and_strays_are_problems(tmp_path: Path) -> None:
    store = handed_in(tmp_path, *SOUND)
    path = store.path("ottt", MACHINE)
    whole = path.read_bytes()
    path.write_bytes(b"nonsense\n" + b"".join(whole.splitlines(keepends=True)[1:]))
    (path.parent / "notes.txt").touch()
    stray, unreadable, incomplete = told(store)
    assert "notes.txt" in stray
    assert "not a record" in unreadable
    assert "has 1 of its 2 lines" in incomplete


@pytest.mark.parametrize("description", [None, "{}", json.dumps({**WHAT, "cores": 9})])
def test_machine_that_is_not_described_is_a_problem(tmp_path: Path, description: str | None) -> None:
    store = handed_in(tmp_path, *SOUND)
    place = store.root / "machines" / f"{MACHINE}.json"
    place.unlink()
    if description is not None:
        place.write_text(description)
    first, *rest = told(store)
    assert str(place) in first
    assert ["no complete case" in line for line in rest] == [True]


def test_folder_that_holds_no_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere is not a folder; name the results folder"):
        store_of(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no runs/.*name the one that holds runs/ and machines/"):
        store_of(tmp_path)
    (tmp_path / "runs").mkdir()
    (line,) = told(store_of(tmp_path))
    assert "no complete case of ottt, sltt" in line


def test_records_are_added_once_and_nothing_is_overwritten(tmp_path: Path) -> None:
    source, target = handed_in(tmp_path, *SOUND), Store(tmp_path / "here")
    own = replace(SOUND[1][0], value=7, when="2026-01-02T00:00:00Z", run="later")
    target.describe(MACHINE, WHAT)
    target.append("ottt", MACHINE, [own])
    before = target.path("ottt", MACHINE).read_bytes()
    (taken,) = take(source, target, ["ottt", "sltt"])
    assert (taken.paper, taken.machine, taken.added, taken.there) == ("ottt", MACHINE, 2, 1)
    assert target.path("ottt", MACHINE).read_bytes().startswith(before)
    records, left_out = target.load("ottt")
    assert left_out == []
    assert {(r.key, r.metric): r.value for r in records} == {
        (r.key, r.metric): r.value for records in (*SOUND[::2], [own]) for r in records
    }
    after = target.path("ottt", MACHINE).read_bytes()
    (again,) = take(source, target, ["ottt", "sltt"])
    assert (again.added, again.there) == (0, 3)
    assert target.path("ottt", MACHINE).read_bytes() == after


def test_records_keep_their_machine_day_and_run(tmp_path: Path) -> None:
    source, target = handed_in(tmp_path, *SOUND), Store(tmp_path / "here")
    take(source, target, ["ottt"])
    assert target.load("ottt") == source.load("ottt")
    assert target.machines() == source.machines() == {MACHINE: WHAT}


def test_metrics_are_of_probes_in_known_units() -> None:
    assert set(METRICS) <= set(PROBES)
    assert {unit for metrics in METRICS.values() for unit in metrics.values()} <= set(UNITS)


def test_probe_without_an_entry_may_measure_anything_in_a_known_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.contributions.metrics.METRICS", {})
    assert problem_of(COUNT, "silent_neurons", "%") == ""
    assert problem_of(COUNT, "silent_neurons", "%%") == "silent_neurons is in '%%', a unit of no metric"


def test_metrics_of_stored_records_are_known() -> None:
    store = Store(Path(__file__).resolve().parents[2] / "results")
    found = {(Case.of(r.case), r.metric, r.unit) for name in papers() for r in store.load(name)[0] if r.status == "ok"}
    assert found
    assert {problem_of(*each) for each in found} == {""}
