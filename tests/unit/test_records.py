"""The store loses nothing, whatever cuts it short; the machine's name lasts."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import resource
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from bench import machine
from bench.records import Store, latest, to_frame
from bench.spec import Case, Record, UserError

CASE = Case("made-up", "cost", "net", "bptt", "native", T=2, batch=3, options=(("k", 1),))


def record(metric: str = "peak", value: float | int | str | None = 1, **changes: object) -> Record:
    plain = Record(
        case=CASE.as_dict(),
        key=CASE.key,
        metric=metric,
        value=value,
        unit="B",
        version=1,
        detail={"inputs": [1, 2]},
        status="ok",
        reason="",
        kernel="plain",
        digest="abc",
        versions={"torch": "2"},
        commit="none",
        machine="m",
        device="cpu",
        threads=1,
        precision="float32",
        run="r",
        when="2026-01-01T00:00:00Z",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_what_is_appended_is_loaded_in_order(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, second, third = record(), record("macs", 2**62), record(key="other", value=0.1)
    store.append("p", "m", [first, second])
    store.append("p", "m", [third])
    assert store.load("p") == ([first, second, third], [])
    assert store.papers() == ["p"]
    assert store.done("p", "m") == {(CASE.key, "abc"), ("other", "abc")}
    assert store.done("p", "another machine") == set()


def test_lines_are_json_for_anyone_and_a_diverged_value_survives(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append("p", "m", [record(value=math.nan, detail={"loss": [1.0, math.inf]})])

    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    (line,) = store.path("p", "m").read_text().splitlines()
    content = json.loads(line, parse_constant=no_constant)
    assert list(content) == sorted(content)
    assert (content["value"], content["detail"]) == ("nan", {"loss": [1.0, "inf"]})


def test_machines_stay_apart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append("p", "one", [record(machine="one", value=1)])
    store.append("p", "two", [record(machine="two", value=2)])
    store.describe("one", {"cpu": "x"})
    store.describe("one", {"cpu": "written once"})
    assert sorted(path.parent.name for path in tmp_path.glob("runs/*/*.jsonl")) == ["one", "two"]
    assert [r.value for r in latest(store.load("p")[0])] == [1, 2]
    assert store.machines() == {"one": {"cpu": "x"}}


def test_a_torn_tail_is_kept_and_reported_and_harms_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append("p", "m", [record()])
    path = store.path("p", "m")
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    store.append("p", "m", [record(key="next")])
    assert path.read_bytes().startswith(whole + whole[:50] + b"\n")
    records, torn = store.load("p")
    assert [r.key for r in records] == [CASE.key, "next"]
    assert [(t.path, t.line) for t in torn] == [(path, 2)]
    assert "line 2" in str(torn[0])


@pytest.mark.parametrize("line", [b"{}", b"[1]", b"\xff\xfe", b'{"of":1}', b"null", b'{"of":1,"key":"k"}'])
def test_a_line_that_is_no_record_is_reported(tmp_path: Path, line: bytes) -> None:
    store = Store(tmp_path)
    store.append("p", "m", [record()])
    path = store.path("p", "m")
    path.write_bytes(line + b"\n" + path.read_bytes())
    records, torn = store.load("p")
    assert records == [record()]
    assert [t.line for t in torn] == [1]


def test_a_case_is_done_only_with_all_its_records_wherever_the_write_was_cut(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.append("p", "m", [record("a"), record("b"), record("c")])
    path = store.path("p", "m")
    whole = path.read_bytes()
    border = whole.rindex(b"\n", 0, -1) + 1
    for length in (0, 1, len(whole) // 2, border - 1, border, border + 1, len(whole) - 2):
        path.write_bytes(whole[:length])
        assert store.done("p", "m") == set(), length
    store.append("p", "m", [record("a"), record("b"), record("c")])
    assert store.done("p", "m") == {(CASE.key, "abc")}


def _fill(root: str, limit: int) -> None:
    """Append until the disk, as this process sees it, is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    store = Store(Path(root))
    try:
        for i in range(100):
            store.append("p", "m", [record("a", key=f"case {i}"), record("b", key=f"case {i}")])
    except UserError as error:
        Path(root, "told").write_text(f"{i} {error}"[: limit // 2])


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_fill, args=(str(tmp_path), 5000))
    process.start()
    process.join(60)
    stored, said = Path(tmp_path, "told").read_text().split(" ", 1)
    records, torn = Store(tmp_path).load("p")
    assert int(stored) > 1
    assert len(records) == 2 * int(stored)
    assert torn == []
    assert "p.jsonl" in said
    assert "free some space" in said


def test_a_short_write_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, bytes(data)[:7]))
    Store(tmp_path).append("p", "m", [record()])
    assert Store(tmp_path).load("p") == ([record()], [])


def test_an_interrupted_write_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    store.append("p", "m", [record()])
    write = os.write

    def interrupted(file: int, data: bytes) -> int:
        write(file, bytes(data)[:7])
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.append("p", "m", [record("b")])
    monkeypatch.undo()
    assert store.load("p") == ([record()], [])


def _hold(root: str, ready: multiprocessing.synchronize.Event, leave: multiprocessing.synchronize.Event) -> None:
    with Store(Path(root)).locked("p", "m"):
        ready.set()
        leave.wait(60)


def test_two_runs_do_not_write_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path), ready, leave))
    process.start()
    assert ready.wait(60)
    store = Store(tmp_path)
    with pytest.raises(UserError, match=r"p\.jsonl is being written by another run"):
        store.append("p", "m", [record()])
    leave.set()
    process.join(60)
    with store.locked("p", "m"):
        store.append("p", "m", [record()])  # the holder itself may write
    assert store.load("p") == ([record()], [])


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"cannot write .*p\.jsonl"):
        Store(tmp_path).append("p", "m", [record()])


def test_a_later_record_supersedes_an_earlier_one() -> None:
    crashed = record("", None, status="crashed", reason="signal 9", when="1")
    half = record("macs", None, status="unsupported", reason="no rule", when="2")
    retried = record("peak", 5, when="2")
    other = record("peak", None, machine="elsewhere", status="crashed", when="1")
    assert latest([crashed, retried, half, other]) == [retried, half, other]
    assert latest([record(value=1), record("macs"), record(value=2)]) == [record("macs"), record(value=2)]


def test_frame_for_people() -> None:
    frame = to_frame([record(), record("macs", 7)])
    assert list(frame["value"]) == [1, 7]
    assert list(frame["T"]) == [2, 2]
    assert list(frame["option k"]) == [1, 1]
    assert list(frame["version torch"]) == ["2", "2"]
    assert set(frame["key"]) == {CASE.key}


def test_the_machines_name_outlasts_an_update_of_python_and_tells_machines_apart() -> None:
    here = machine.identity()
    assert machine.machine_id(here) == machine.machine_id({**here, "python": "9.9"}) == machine.machine_id(here)
    others = [{**here, "cores": 1000}, {**here, "memory_gib": 1}, {**here, "cpu": "abacus"}, {**here, "gpus": ["g"] * 2}]
    assert len({machine.machine_id(m) for m in [here, *others]}) == 5
    assert json.loads(json.dumps(here)) == here


def test_the_machines_name_reads_well() -> None:
    known = {
        "cpu": "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
        "cores": 16,
        "memory_gib": 128,
        "os": "Linux",
        "architecture": "x86_64",
        "gpus": ["NVIDIA H200"] * 2,
    }
    assert machine.machine_id(known).rsplit("-", 1)[0] == "intel-xeon-platinum-8481c-16c-128g-2x-nvidia-h200"


def test_gpus_are_what_the_driver_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H200'\necho 'NVIDIA L4'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert machine.identity()["gpus"] == ["NVIDIA H200", "NVIDIA L4"]
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert machine.identity()["gpus"] == []
