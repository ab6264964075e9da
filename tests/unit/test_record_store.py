"""The record store: what is appended is loaded, and damage is reported."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.errors import UserError
from bench.record import Record
from bench.record_store import Store, latest, uncommitted
from bench.record_store.checks import _has
from bench.record_store.lines import encoded
from tests.unit.stored import CASE, WHAT, known, record

PAPER_Q = replace(CASE, paper="q")
CPU = ("cpu", 1, "float32")


def test_store_loads_records_in_the_order_appended(tmp_path: Path) -> None:
    store = known(tmp_path)
    first, second, third = record(), record("macs", 2**62), record(T=3, value=0.1)
    store.append("p", "m", [first, second])
    store.append("p", "m", [third])
    assert store.load("p") == ([first, second, third], [])
    assert store.papers() == ["p"]
    assert store.done("p", "m") == {(CASE.key, "abc", *CPU), (replace(CASE, T=3).key, "abc", *CPU)}
    assert store.done("p", "another machine") == set()


def test_store_lines_are_strict_json_and_keep_infinite_values(tmp_path: Path) -> None:
    store = known(tmp_path)
    store.append("p", "m", [record(value=math.nan, detail={"loss": [1.0, math.inf]})])

    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not valid JSON")

    (line,) = store.path("p", "m").read_text().splitlines()
    content = json.loads(line, parse_constant=no_constant)
    assert list(content) == sorted(content)
    assert (content["value"], content["detail"]) == ("nan", {"loss": [1.0, "inf"]})


def test_store_keeps_machines_in_separate_files(tmp_path: Path) -> None:
    store = known(tmp_path, "one", "two")
    store.append("p", "one", [record(machine="one", value=1)])
    store.append("p", "two", [record(machine="two", value=2)])
    store.describe("one", {"cpu": "written once"})
    assert sorted(path.parent.name for path in tmp_path.glob("runs/*/*.jsonl")) == ["one", "two"]
    assert [r.value for r in latest(store.load("p")[0])] == [1, 2]
    assert store.machines() == {"one": WHAT, "two": WHAT}


def test_store_reports_a_truncated_last_line_and_keeps_it(tmp_path: Path) -> None:
    store = known(tmp_path)
    store.append("p", "m", [record()])
    path = store.path("p", "m")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    store.append("p", "m", [record(T=9)])
    assert path.read_bytes().startswith(whole + whole[:50] + b"\n")
    records, torn = store.load("p")
    assert [r.key for r in records] == [CASE.key, replace(CASE, T=9).key]
    assert [(t.path, t.line) for t in torn] == [(path, 2)]
    assert "line 2" in str(torn[0])


def written(store: Store, *records: Record) -> Path:
    """The file of records whose place is no matter of theirs."""
    path = store.path("p", "m")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(encoded(found, 1) for found in records))
    return path


FORGED: dict[str, tuple[dict[str, Any], str]] = {
    "another key": ({"key": "p/cost/none/net/bptt/native/T9/b3/s0"}, "its key p/cost/.*T9.* is not that of its case"),
    "another case": ({"case": {**CASE.as_dict(), "T": 9}}, "is not that of its case"),
    "a case that is not valid": ({"case": {"T": 1}}, "its case is not valid"),
    "an unknown probe": ({"case": {**CASE.as_dict(), "probe": "guess"}}, "unknown probe 'guess'"),
    "another paper": ({"case": PAPER_Q.as_dict(), "key": PAPER_Q.key}, "a record of paper 'q' in the file of 'p'"),
    "another machine": ({"machine": "big-gpu"}, "a record of machine 'big-gpu' in the folder of 'm'"),
    "no commit": ({"commit": ""}, "its commit '' is not the name of a commit"),
    "an unknown commit": ({"commit": "unknown"}, "its commit 'unknown' is not the name of a commit"),
    "an unknown status": ({"status": "fine"}, "its status 'fine' is not a known one"),
    "a value of another type": ({"value": [1]}, r"value is \[1\]"),
    "a detail that is not a table": ({"detail": 7}, "detail is 7"),
    "no time": ({"when": "yesterday"}, "yesterday"),
}


@pytest.mark.parametrize(
    ("device", "has"),
    [("2 x cpu", True), ("2 x H9", True), ("3 x H9", False), ("2 x meta", False), ("1 x H9", False), ("H9", True)],
)
def test_store_knows_devices_of_several_processes(device: str, has: bool) -> None:
    assert _has(device, ["H9", "H9"]) is has


@pytest.mark.parametrize("forgery", FORGED)
def test_store_leaves_out_records_that_contradict_themselves_or_their_file(tmp_path: Path, forgery: str) -> None:
    changes, told = FORGED[forgery]
    store = known(tmp_path)
    path = written(store, record(), record(**changes), record(T=3))
    records, torn = store.load("p")
    assert records == [record(), record(T=3)]
    assert [(t.path, t.line) for t in torn] == [(path, 2)]
    assert re.search(told, str(torn[0])), torn[0]
    older = "its case is not valid" in str(torn[0])
    assert ("`spikecost run p` measures it again" if older else "delete the line") in str(torn[0])
    assert len(store.done("p", "m")) == 2


@pytest.mark.parametrize("problem", ["no field", "an unknown field"])
def test_record_of_another_version_is_measured_again_and_kept(tmp_path: Path, problem: str) -> None:
    store = known(tmp_path)
    path = written(store, record())
    content = json.loads(path.read_text())
    content = {**content, "weight": 1} if problem == "an unknown field" else {k: v for k, v in content.items() if k != "kernel"}
    path.write_text(json.dumps(content) + "\n")
    records, (left_out,) = store.load("p")
    assert records == []
    assert problem in left_out.reason
    assert "`spikecost run p` measures it again" in left_out.reason
    assert "move the file out of results/" in left_out.reason


def test_store_rejects_numbers_that_json_lacks(tmp_path: Path) -> None:
    store = known(tmp_path)
    path = written(store, record(value=1))
    path.write_text(path.read_text().replace('"value":1', '"value":NaN'))
    records, (torn,) = store.load("p")
    assert records == []
    assert "NaN is not valid JSON" in str(torn)


def test_store_reports_conflict_markers_and_loads_both_sides(tmp_path: Path) -> None:
    store = known(tmp_path)
    path = written(store, record(), record(T=3))
    one, two = path.read_text().splitlines()
    path.write_text("\n".join(["<<<<<<< HEAD", one, "=======", two, ">>>>>>> theirs", ""]))
    records, torn = store.load("p")
    assert records == [record(), record(T=3)]
    assert [t.line for t in torn] == [1, 3, 5]
    assert all("a merge left its marker here: delete this line" in str(t) for t in torn)


def test_store_leaves_out_cases_that_lack_a_line(tmp_path: Path) -> None:
    store = known(tmp_path)
    store.append("p", "m", [record("a"), record("b")])
    store.append("p", "m", [record("a", T=3), record("b", T=3)])
    path = store.path("p", "m")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], *lines[2:]]))
    records, (torn,) = store.load("p")
    assert {r.case["T"] for r in records} == {3}
    assert f"{CASE.key} has 1 of its 2 lines; run again" in str(torn)
    again = [record("a", run="later"), record("b", run="later")]
    store.append("p", "m", again)
    assert store.load("p") == ([record("a", T=3), record("b", T=3), *again], [])


@pytest.mark.parametrize(
    ("contents", "told"),
    [
        ("<<<<<<< HEAD\n{}\n", "line 1: no description of a machine"),
        ('{"cpu": "x",\n"cores": 2,,\n', "line 2: no description of a machine"),
        ("[]", "no cpu, cores, memory_gib, os, architecture, gpus"),
        ('{"cpu": "x"}', "no cores, memory_gib, os, architecture, gpus"),
        (None, "is not there to say what machine this is"),
    ],
    ids=["conflict", "cut", "a list", "half", "gone"],
)
def test_store_leaves_out_records_of_machines_without_a_description(tmp_path: Path, contents: str, told: str) -> None:
    store = known(tmp_path, "m", "other")
    store.append("p", "m", [record()])
    store.append("p", "other", [record(machine="other")])
    place = tmp_path / "machines" / "m.json"
    place.unlink() if contents is None else place.write_text(contents)
    records, (torn,) = store.load("p")
    assert [r.machine for r in records] == ["other"]
    assert "m.json" in str(torn)
    assert told in str(torn)
    assert store.machines() == {"other": WHAT}
    assert len(store.damaged_machines()) == (contents is not None)


def test_case_is_done_only_by_records_of_this_machine(tmp_path: Path) -> None:
    store = known(tmp_path)
    store.append("p", "m", [record()])
    ways = [("meta", 1, "float32"), ("cpu", 2, "float32"), ("cpu", 1, "float64"), ("NVIDIA H200", 1, "float32"), CPU]
    assert [(CASE.key, "abc", *way) in store.done("p", "m") for way in ways] == [False, False, False, False, True]


def test_record_of_an_uncommitted_tree_is_marked(tmp_path: Path) -> None:
    store = known(tmp_path)
    found = [record(commit=commit) for commit in ("0123456789ab", "0123456789ab+", "tree-0123456789ab+")]
    for i, each in enumerate(found):
        store.append("p", "m", [replace(each, run=f"r{i}")])
    records, torn = store.load("p")
    assert torn == []
    assert [uncommitted(r) for r in records] == [False, True, True]


@pytest.mark.parametrize("line", [b"{}", b"[1]", b"\xff\xfe", b'{"of":1}', b"null", b'{"of":1,"key":"k"}'])
def test_store_reports_lines_that_are_no_records(tmp_path: Path, line: bytes) -> None:
    store = known(tmp_path)
    store.append("p", "m", [record()])
    path = store.path("p", "m")
    path.write_bytes(line + b"\n" + path.read_bytes())
    records, torn = store.load("p")
    assert records == [record()]
    assert [t.line for t in torn] == [1]


def test_case_is_done_only_with_all_its_records(tmp_path: Path) -> None:
    store = known(tmp_path)
    store.append("p", "m", [record("a"), record("b"), record("c")])
    path = store.path("p", "m")
    whole = path.read_bytes()
    border = whole.rindex(b"\n", 0, -1) + 1
    for length in (0, 1, len(whole) // 2, border - 1, border, border + 1, len(whole) - 2):
        path.write_bytes(whole[:length])
        assert store.done("p", "m") == set(), length
    store.append("p", "m", [record("a"), record("b"), record("c")])
    assert store.done("p", "m") == {(CASE.key, "abc", *CPU)}


@pytest.mark.parametrize("folder", ["runs", "runs/m", "machines"])
def test_load_names_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    store = known(tmp_path)
    store.append("p", "m", [record()])
    plain = Path.iterdir

    def refusing(path: Path) -> Any:
        if path == tmp_path / folder:
            raise PermissionError(13, "Permission denied", str(path))
        return plain(path)

    monkeypatch.setattr(Path, "iterdir", refusing)
    with pytest.raises(UserError, match=rf"{folder} cannot be read: Permission denied; change the permissions"):
        store.load("p")


def test_latest_record_of_a_case_replaces_earlier_ones() -> None:
    crashed = record("", None, status="crashed", reason="signal 9", when="1")
    half = record("macs", None, status="unsupported", reason="no rule", when="2")
    retried = record("peak", 5, when="2")
    other = record("peak", None, machine="elsewhere", status="crashed", when="1")
    assert latest([crashed, retried, half, other]) == [retried, half, other]
    assert latest([record(value=1), record("macs"), record(value=2)]) == [record("macs"), record(value=2)]
