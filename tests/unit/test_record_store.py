"""The store loses nothing, whatever cuts it short; the machine's name lasts."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import re
import resource
import shlex
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench import machine
from bench.case import Case
from bench.errors import UserError
from bench.plan import conditions, to_make
from bench.record import Record
from bench.record_store import Store, _line, latest, to_frame, uncommitted
from bench.registry import PROBES

CASE = Case("p", "cost", "net", "bptt", "native", T=2, batch=3, options=(("k", 1),))


PAPER_Q = replace(CASE, paper="q")
WHAT = {"cpu": "x", "cores": 2, "memory_gib": 8, "os": "Linux", "architecture": "x86_64", "gpus": []}
CPU = ("cpu", 1, "float32")


def known(root: Path, *machines: str) -> Store:
    """A store that knows what these machines are (default: m)."""
    store = Store(root)
    for name in machines or ("m",):
        store.describe(name, WHAT)
    return store


def record(metric: str = "peak", value: float | int | str | None = 1, T: int = 2, **changes: object) -> Record:
    """Of one case; a case of another T has another key."""
    case = replace(CASE, T=T)
    plain = Record(
        case=case.as_dict(),
        key=case.key,
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
        commit="0123456789ab",
        machine="m",
        device="cpu",
        threads=1,
        precision="float32",
        run="r",
        when="2026-01-01T00:00:00Z",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


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
        raise AssertionError(f"{name} is no JSON")

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
    path.write_bytes(b"".join(_line(found, 1) for found in records))
    return path


FORGED: dict[str, tuple[dict[str, Any], str]] = {
    "another key": ({"key": "p/cost/none/net/bptt/native/T9/b3/s0"}, "its key p/cost/.*T9.* is not that of its case"),
    "another case": ({"case": {**CASE.as_dict(), "T": 9}}, "is not that of its case"),
    "a case that is none": ({"case": {"T": 1}}, "its case is none"),
    "an unknown probe": ({"case": {**CASE.as_dict(), "probe": "guess"}}, "unknown probe 'guess'"),
    "another paper": ({"case": PAPER_Q.as_dict(), "key": PAPER_Q.key}, "a record of paper 'q' in the file of 'p'"),
    "another machine": ({"machine": "big-gpu"}, "a record of machine 'big-gpu' in the folder of 'm'"),
    "no commit": ({"commit": ""}, "its commit '' names no code"),
    "an unknown commit": ({"commit": "unknown"}, "its commit 'unknown' names no code"),
    "an unknown status": ({"status": "fine"}, "its status 'fine' is none"),
    "a value of another type": ({"value": [1]}, r"value is \[1\]"),
    "a detail that is none": ({"detail": 7}, "detail is 7"),
    "no time": ({"when": "yesterday"}, "yesterday"),
}


@pytest.mark.parametrize("forgery", FORGED)
def test_store_leaves_out_records_that_contradict_themselves_or_their_file(tmp_path: Path, forgery: str) -> None:
    changes, told = FORGED[forgery]
    store = known(tmp_path)
    path = written(store, record(), record(**changes), record(T=3))
    records, torn = store.load("p")
    assert records == [record(), record(T=3)]
    assert [(t.path, t.line) for t in torn] == [(path, 2)]
    assert re.search(told, str(torn[0])), torn[0]
    older = "its case is none" in str(torn[0])
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
    assert "NaN is no JSON" in str(torn)


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


def _fill(root: str, limit: int) -> None:
    """Append until the disk, as this process sees it, is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    store = known(Path(root))
    try:
        for i in range(100):
            store.append("p", "m", [record("a", T=i + 1), record("b", T=i + 1)])
    except UserError as error:
        Path(root, "told").write_text(f"{i} {error}"[: limit // 2])


def test_append_on_a_full_disk_loses_no_record(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_fill, args=(str(tmp_path), 5000))
    process.start()
    process.join(60)
    stored, said = Path(tmp_path, "told").read_text().split(" ", 1)
    records, torn = known(tmp_path).load("p")
    assert int(stored) > 1
    assert len(records) == 2 * int(stored)
    assert torn == []
    assert "p.jsonl" in said
    assert "free some space" in said


def test_append_continues_a_short_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, bytes(data)[:7]))
    known(tmp_path).append("p", "m", [record()])
    assert known(tmp_path).load("p") == ([record()], [])


def test_append_reverts_an_interrupted_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = known(tmp_path)
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
    with known(Path(root)).locked("p", "m"):
        ready.set()
        leave.wait(60)


def test_append_is_exclusive_between_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(str(tmp_path), ready, leave))
    process.start()
    assert ready.wait(60)
    store = known(tmp_path)
    with pytest.raises(UserError, match=r"p\.jsonl is being written by another run"):
        store.append("p", "m", [record()])
    leave.set()
    process.join(60)
    with store.locked("p", "m"):
        store.append("p", "m", [record()])  # the holder itself may write
    assert store.load("p") == ([record()], [])


def test_append_names_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where a folder should be")
    with pytest.raises(UserError, match=r"cannot write .*p\.jsonl"):
        known(tmp_path).append("p", "m", [record()])


@pytest.mark.parametrize("folder", ["runs", "runs/m", "machines"])
def test_load_names_a_folder_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
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


def test_frame_has_readable_columns() -> None:
    frame = to_frame([record(), record("macs", 7)])
    assert list(frame["value"]) == [1, 7]
    assert list(frame["T"]) == [2, 2]
    assert list(frame["option k"]) == [1, 1]
    assert list(frame["version torch"]) == ["2", "2"]
    assert set(frame["key"]) == {CASE.key}


def test_machine_name_does_not_depend_on_the_python_version() -> None:
    here = machine.identity()
    assert machine.machine_id(here) == machine.machine_id({**here, "python": "9.9"}) == machine.machine_id(here)
    others = [{**here, "cores": 1000}, {**here, "memory_gib": 1}, {**here, "cpu": "abacus"}, {**here, "gpus": ["g"] * 2}]
    assert len({machine.machine_id(m) for m in [here, *others]}) == 5
    assert json.loads(json.dumps(here)) == here


def test_machine_name_is_readable() -> None:
    known = {
        "cpu": "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz",
        "cores": 16,
        "memory_gib": 128,
        "os": "Linux",
        "architecture": "x86_64",
        "gpus": ["NVIDIA H200"] * 2,
    }
    assert machine.machine_id(known).rsplit("-", 1)[0] == "intel-xeon-platinum-8481c-16c-128g-2x-nvidia-h200"


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``driver("NVIDIA H200", ...)``: from now on nvidia-smi lists these; ``says`` is what it says in place of a list."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine, "_torch_has_cuda", lambda: True)

    def lists(*names: str, says: str = "", code: int = 0) -> None:
        told = {"name": names, "uuid": [f"GPU-{i}a2b" for i in range(len(names))]}
        answers = "".join(
            f"*--query-gpu={what}*) printf '%s\\n' {shlex.join(lines or [says])};; " for what, lines in told.items()
        )
        (tmp_path / "nvidia-smi").write_text(f'#!/bin/sh\ncase "$*" in {answers}esac\nexit {code}\n')
        (tmp_path / "nvidia-smi").chmod(0o755)

    return lists


def test_machine_gpus_are_those_listed_by_the_driver(driver: Callable[..., None]) -> None:
    driver("NVIDIA H200", "NVIDIA L4")
    assert machine.identity()["gpus"] == ["NVIDIA H200", "NVIDIA L4"]
    driver("NVIDIA H200", code=9)
    assert machine.identity()["gpus"] == []


@pytest.mark.parametrize("code", [0, 6])
def test_machine_has_no_gpu_if_the_driver_finds_none(driver: Callable[..., None], code: int) -> None:
    driver(says="No devices were found", code=code)
    found = machine.identity()
    assert found["gpus"] == []
    assert machine.gpu() is None
    assert "devices" not in machine.machine_id(found)


@pytest.mark.parametrize(
    ("visible", "used"),
    [
        (None, "NVIDIA H200"),
        ("", None),
        ("-1", None),
        ("0", "NVIDIA H200"),
        ("1", "NVIDIA L4"),
        ("1,0", "NVIDIA L4"),
        ("2", None),
        ("-1,0", None),
        ("GPU-1a", "NVIDIA L4"),
        ("GPU-9", None),
        ("none", None),
    ],
)
def test_machine_gpu_is_the_first_visible_one(
    driver: Callable[..., None], monkeypatch: pytest.MonkeyPatch, visible: str | None, used: str | None
) -> None:
    driver("NVIDIA H200", "NVIDIA L4")
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.gpu() == used
    assert machine.identity()["gpus"] == ["NVIDIA H200", "NVIDIA L4"]  # the machine is the same


def test_machine_has_no_gpu_if_pytorch_lacks_cuda(driver: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    driver("NVIDIA H200")
    monkeypatch.undo()
    version = tmp_path / "torch" / "version.py"
    version.parent.mkdir()
    (version.parent / "__init__.py").touch()
    monkeypatch.setattr(
        machine.importlib.util, "find_spec", lambda _: SimpleNamespace(origin=str(version.with_name("__init__.py")))
    )
    for text, has in (("cuda: Optional[str] = None", False), ("cuda: Optional[str] = '12.8'", True), ("cuda = None", False)):
        version.write_text(f"from typing import Optional\n__version__ = '2'\n{text}\nhip: Optional[str] = None\n")
        assert machine._torch_has_cuda() == has


def test_probes_name_their_device_and_ignore_hidden_gpus() -> None:
    assert set(PROBES) == set(PROBES)
    for probe in PROBES:
        case = replace(CASE, probe=probe, network="vgg5/cifar10")
        here, hidden = conditions(case, "NVIDIA H200").device, conditions(case, None).device
        expected = {
            "meta": ("meta", "meta"),
            "cpu": ("cpu", "cpu"),
            "best": ("NVIDIA H200", "cpu"),
            "cuda": ("NVIDIA H200", "none"),
        }
        assert (here, hidden) == expected[PROBES[probe].device]
        assert (to_make(case, "NVIDIA H200") == to_make(case, None)) == (here == hidden)
    training = replace(CASE, probe="training", network="vgg5/cifar10")
    assert to_make(training, "NVIDIA H200")[2:] == ("NVIDIA H200", 1, "float32")
