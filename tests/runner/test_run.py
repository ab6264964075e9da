"""Runs with real processes and short cases: whatever happens to one case, the others are measured and nothing is lost."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch

from bench.case import Case
from bench.errors import UserError, no
from bench.machine import gpu
from bench.plan import digest_of, wanted_key
from bench.record import Record
from bench.record_store import Store
from bench.registry import PROBES
from bench.runner import run as runner
from bench.runner import worker
from bench.runner.store import commit_of, recorder
from bench.runner.worker import Job, Outcome, checkpoint_of

HERE = Path(__file__).resolve().parent
PAPER, MACHINE = "made-up", "m"
SMALL = Case(PAPER, "count", "vgg-sws-small/digits", "bptt", "native", T=1, batch=1, scale="smoke")
THREE = [replace(SMALL, T=T) for T in (1, 2, 3)]


class Notes:
    """A listener that records calls; ``on_finished`` is called with each case that has ended."""

    def __init__(self, on_finished: Callable[[Case], None] = lambda _: None) -> None:
        self.events: list[tuple[str, int]] = []
        self._on_finished = on_finished

    def started(self, case: Case) -> None:
        self.events.append(("started", case.T))

    def progress(self, case: Case, progress: Any) -> None:
        self.events.append(("progress", case.T))

    def finished(self, case: Case, outcome: Outcome) -> None:
        self.events.append(("finished", case.T))
        self._on_finished(case)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """``faulty(name)``: make workers run that function of faulty.py."""
    monkeypatch.syspath_prepend(str(HERE))  # type: ignore[no-untyped-call]

    def use(name: str) -> None:
        import faulty as module

        monkeypatch.setattr(runner, "work", getattr(module, name))

    return use


def measure(root: Path, cases: Sequence[Case], listener: Notes | None = None, workers: int = 1) -> list[Case]:
    """Run the missing cases, as the command line does, and return them."""
    store = Store(root / "results")
    done = store.done(PAPER, MACHINE)
    missing = [case for case in cases if wanted_key(case, gpu()) not in done]
    keep = recorder(store, MACHINE, "r")
    runner.run(missing, keep, listener or Notes(), data_root=None, scratch=root / "scratch", workers=workers)
    return missing


def stored(root: Path) -> list[Record]:
    records, torn = Store(root / "results").load(PAPER)
    assert torn == []
    return records


def told(root: Path) -> dict[int, tuple[str, str]]:
    """T -> status and reason."""
    return {record.case["T"]: (record.status, record.reason) for record in stored(root)}


def test_run_stores_results_with_their_provenance(tmp_path: Path) -> None:
    measure(tmp_path, [SMALL])
    parameters, macs = stored(tmp_path)
    assert (parameters.metric, parameters.value, parameters.status) == ("parameters", 242_474, "ok")
    assert macs.metric == "forward_macs"
    assert parameters.case == SMALL.as_dict()
    assert (parameters.key, parameters.digest, parameters.machine) == (SMALL.key, digest_of(SMALL), MACHINE)
    assert parameters.versions["torch"] != "not installed"
    assert (parameters.device, parameters.threads, parameters.precision, parameters.run) == ("cpu", 1, "float32", "r")
    assert re.fullmatch(r"[0-9a-f]{12}\+?|tree-[0-9a-f]{12}\+", parameters.commit)
    assert parameters.kernel
    assert measure(tmp_path, [SMALL]) == []


# --------------------------------------------------------------------------- a case goes wrong


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("quits", "crashed", "exit code 7"),
        ("segfaults", "crashed", "SIGSEGV"),
        ("is_killed", "out of memory", "killed by signal 9"),
        ("is_killed_in_mid_word", "crashed", "exit code 1"),
        ("has_no_memory", "out of memory", "MemoryError"),
    ],
)
@pytest.mark.parametrize("workers", [1, 2])
def test_run_records_a_broken_case_and_continues(
    tmp_path: Path, faulty: Callable[[str], None], fault: str, status: str, reason: str, workers: int
) -> None:
    faulty(fault)
    measure(tmp_path, THREE, workers=workers)
    rows = told(tmp_path)
    assert {T: row[0] for T, row in rows.items()} == {1: "ok", 2: status, 3: "ok"}
    assert reason in rows[2][1]
    (broken,) = [record for record in stored(tmp_path) if record.status != "ok"]
    assert (broken.metric, broken.value) == ("none", None)
    assert measure(tmp_path, THREE) == []  # failures are not repeated by default


@pytest.mark.parametrize("fault", ["hangs", "chatters"])
def test_run_ends_a_case_that_times_out(
    tmp_path: Path, faulty: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    faulty(fault)
    monkeypatch.setitem(runner.TIME_LIMIT_S, "smoke", 3.0)
    measure(tmp_path, THREE)
    rows = told(tmp_path)
    assert {T: row[0] for T, row in rows.items()} == {1: "ok", 2: "timeout", 3: "ok"}
    assert rows[2][1] == "not done after 3 s"


def test_run_records_unsupported_cases_with_the_reason(tmp_path: Path) -> None:
    unsupported = replace(SMALL, algorithm="sltt", backend="spikingjelly-multistep")
    mistaken = replace(SMALL, probe="training", dataset="digits", T=2, options=(("epochs", 0),))
    without_files = replace(SMALL, probe="training", dataset="dvs-gesture", T=4)
    refused = replace(SMALL, probe="gradient", dataset="digits", T=3, batch=10**8)
    measure(tmp_path, [unsupported, mistaken, refused, without_files])
    rows = told(tmp_path)
    assert rows[1][0] == "unsupported"
    assert rows[1][1]
    assert rows[2] == ("failed", "epochs = 0; use a whole number >= 1 (passes over the training samples)")
    assert rows[3][0] == "refused"
    assert rows[4][0] == "unsupported"  # the machine lacks it; the case is right
    assert "is missing; it cannot be downloaded automatically" in rows[4][1]
    assert f"forecast {worker.forecast(refused) / 2**30:.1f} GiB at T = 3, batch 100000000" in rows[3][1]


# --------------------------------------------------------------------------- conditions


@pytest.mark.parametrize(("probe", "device", "precision"), [("cost", "meta", "float32"), ("equivalence", "cpu", "float64")])
def test_records_name_the_device(tmp_path: Path, probe: str, device: str, precision: str) -> None:
    measure(tmp_path, [replace(SMALL, probe=probe)])
    assert {(r.device, r.threads, r.precision, r.status) for r in stored(tmp_path)} == {(device, 1, precision, "ok")}


def test_records_of_every_probe_match_the_conditions_of_their_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise it would be measured again in every run. A crash, which no worker reports, is stored in the same way."""
    here = gpu()
    for probe in PROBES:
        case = replace(SMALL, probe=probe, dataset="digits" if probe in ("training", "gradient") else "none")
        monkeypatch.setattr(worker, "_supported", lambda case: no("not asked"))
        told = worker._outcome(Job(case, None, tmp_path), None)  # type: ignore[arg-type]
        crashed = SimpleNamespace(job=Job(case, None, tmp_path), process=SimpleNamespace(exitcode=1), timed_out=False)
        silent = runner._outcome_without_answer(crashed, here)  # type: ignore[arg-type]
        for outcome in (told, silent):
            how = (outcome.device, outcome.threads, outcome.precision)
            assert how == wanted_key(case, here)[2:], probe


def test_training_on_the_cpu_is_not_done_for_the_gpu(tmp_path: Path, faulty: Callable[[str], None]) -> None:
    faulty("quick")
    training = replace(SMALL, probe="training")
    measure(tmp_path, [training])
    done = Store(tmp_path / "results").done(PAPER, MACHINE)
    assert wanted_key(training, None) in done
    assert wanted_key(training, "NVIDIA H200") not in done


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_memory_without_a_gpu_is_unsupported(tmp_path: Path) -> None:
    measure(tmp_path, [replace(SMALL, probe="cuda-memory")])
    (found,) = stored(tmp_path)
    assert (found.status, found.device) == ("unsupported", "none")
    assert "needs an NVIDIA GPU" in found.reason


# --------------------------------------------------------------------------- commit of the code


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with code, claims, pages and results, committed."""
    root = tmp_path / "checkout"
    for name in ("bench/spec.py", "bench/kernels/k.cpp", "reproductions/p/cases.py", "reproductions/p/README.md", "README.md",
                 "reproductions/p/claims.toml", "results/runs/m/p.jsonl", "plots/index.html", "docs/method.md"):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("one\n")
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "all")
    return root


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, check=True)


def test_commit_ignores_generated_files(checkout: Path) -> None:
    clean = commit_of(checkout)
    assert re.fullmatch(r"[0-9a-f]{12}", clean)
    for name in ("reproductions/p/README.md", "README.md", "results/runs/m/p.jsonl", "plots/index.html", "docs/method.md"):
        (checkout / name).write_text("two\n")
    (checkout / "reproductions/p/claims.toml").write_text("two\n")  # does not affect results
    (checkout / "results/new.csv").write_text("new\n")
    assert commit_of(checkout) == clean


@pytest.mark.parametrize(
    "name", ["bench/spec.py", "bench/kernels/k.cpp", "bench/new.py", "bench/new/deep/er.py", "reproductions/p/cases.py"]
)
def test_commit_marks_changed_code(checkout: Path, name: str) -> None:
    clean = commit_of(checkout)
    (checkout / name).parent.mkdir(parents=True, exist_ok=True)
    (checkout / name).write_text("two\n")
    assert commit_of(checkout) == f"{clean}+"


def test_commit_outside_git_is_a_digest_of_the_files(checkout: Path) -> None:
    installed = checkout / "venv" / "lib"  # inside a repository, but not part of it
    shutil.copytree(checkout / "bench", installed / "bench")
    found = commit_of(installed)
    assert re.fullmatch(r"tree-[0-9a-f]{12}\+", found)
    assert commit_of(installed) == found
    (installed / "bench" / "spec.py").write_text("two\n")
    assert commit_of(installed) != found


# --------------------------------------------------------------------------- forecast


def test_forecast_is_the_exact_live_bytes_times_a_factor() -> None:
    from bench.counting.step import batch_for, cost_of
    from bench.training_step import training_step

    case = replace(SMALL, probe="training", T=11, batch=3)
    step = training_step(case.network, case.algorithm, case.backend, device="meta")
    counted = cost_of(step, *batch_for(step, case.T, case.batch, "meta")).memory.total
    assert worker.forecast(case) == int(worker.FORECAST * counted)


@pytest.mark.parametrize(("spare", "fits"), [(0, True), (-1, False)])
def test_run_refuses_a_case_one_byte_over_the_free_memory(monkeypatch: pytest.MonkeyPatch, spare: int, fits: bool) -> None:
    case = replace(SMALL, probe="training", T=2, batch=4)
    memory = SimpleNamespace(available=worker.forecast(case) + spare)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    answer = worker._fits(case)
    assert answer.ok == fits
    assert ("GiB are free" in answer.reason) == (not fits)
    assert worker._fits(replace(case, probe="cost", batch=10**9))  # counts need no memory


# --------------------------------------------------------------------------- interrupted


def test_ctrl_c_keeps_finished_cases_and_the_next_run_does_the_rest(tmp_path: Path, faulty: Callable[[str], None]) -> None:
    faulty("quick")

    def interrupt(case: Case) -> None:
        if case.T == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path, THREE, Notes(interrupt))
    assert told(tmp_path) == {1: ("ok", ""), 2: ("ok", "")}
    assert measure(tmp_path, THREE) == THREE[2:]
    assert len(stored(tmp_path)) == 3


def test_sigterm_ends_the_run_and_its_workers(tmp_path: Path, faulty: Callable[[str], None]) -> None:
    faulty("hangs")
    before = signal.getsignal(signal.SIGTERM)
    alive: list[bool] = []

    def terminate() -> None:
        worker_id = int(_wait_for(tmp_path / "scratch" / "pid").read_text())
        os.kill(worker_id, signal.SIGINT)  # like Ctrl-C in a terminal: workers ignore it
        time.sleep(0.3)
        alive.append(psutil.pid_exists(worker_id))
        if alive == [True]:
            os.kill(os.getpid(), signal.SIGTERM)

    killer = threading.Thread(target=terminate)
    killer.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        measure(tmp_path, THREE)
    killer.join()
    assert alive == [True]
    assert time.monotonic() - began < 40  # the worker would sleep for 60 s
    assert not psutil.pid_exists(int((tmp_path / "scratch" / "pid").read_text()))
    assert signal.getsignal(signal.SIGTERM) == before
    assert told(tmp_path) == {1: ("ok", "")}
    faulty("quick")
    assert measure(tmp_path, THREE) == THREE[1:]


KILLED_RUN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
import faulty, test_run
from bench.runner import run
run.PRELOAD.clear()
run.work = faulty.hangs
test_run.measure(Path(sys.argv[1]), test_run.THREE)
"""


def test_workers_end_if_the_run_is_killed(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED_RUN, str(tmp_path), str(HERE)], cwd=HERE.parents[1])
    worker_id = int(_wait_for(tmp_path / "scratch" / "pid").read_text())
    assert psutil.pid_exists(worker_id)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 10
    while psutil.pid_exists(worker_id) and psutil.Process(worker_id).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker outlives its run"
        time.sleep(0.05)
    assert told(tmp_path) == {1: ("ok", "")}


# --------------------------------------------------------------------------- the store refuses


def test_full_disk_ends_the_run_and_keeps_stored_results(
    tmp_path: Path, faulty: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty("quick")
    write = os.write

    def full(file: int, data: Any) -> int:
        if THREE[1].key.encode() not in bytes(data):
            return write(file, data)
        write(file, bytes(data)[:20])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UserError, match=rf"cannot write .*{PAPER}\.jsonl: No space left on device.*free some space"):
        measure(tmp_path, THREE)
    monkeypatch.setattr(os, "write", write)
    assert told(tmp_path) == {1: ("ok", "")}
    assert measure(tmp_path, THREE) == THREE[1:]


def test_second_run_on_the_same_file_is_rejected(tmp_path: Path, faulty: Callable[[str], None]) -> None:
    faulty("quick")
    measure(tmp_path, THREE[:1])
    hold = (
        "import sys; from pathlib import Path; from bench.record_store import Store\n"
        f"with Store(Path(sys.argv[1])).locked({PAPER!r}, {MACHINE!r}): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", hold, str(tmp_path / "results")]
    with subprocess.Popen(command, cwd=HERE.parents[1], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=rf"{PAPER}\.jsonl is being written by another run"):
            measure(tmp_path, THREE)
        other.communicate()
    assert measure(tmp_path, THREE) == THREE[1:]
    assert told(tmp_path) == dict.fromkeys((1, 2, 3), ("ok", ""))


def test_checkpoint_is_removed_only_after_the_result_is_stored(tmp_path: Path, faulty: Callable[[str], None]) -> None:
    faulty("quick")
    checkpoint = checkpoint_of(Job(SMALL, None, tmp_path))
    checkpoint.touch()

    def refuse(case: Case, outcome: Outcome) -> None:
        raise UserError("no space")

    with pytest.raises(UserError, match="no space"):
        runner.run([SMALL], refuse, Notes(), data_root=None, scratch=tmp_path, workers=1)
    assert checkpoint.exists()
    runner.run([SMALL], lambda *_: None, Notes(), data_root=None, scratch=tmp_path, workers=1)
    assert not checkpoint.exists()


def test_checkpoint_depends_on_case_and_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(SMALL, None, tmp_path)
    mine = checkpoint_of(job)
    assert mine == checkpoint_of(replace(job, data_root=tmp_path))
    assert mine != checkpoint_of(replace(job, case=replace(SMALL, seed=1)))
    monkeypatch.setattr(worker, "digest_of", lambda _: "other code")
    assert mine != checkpoint_of(job)


# --------------------------------------------------------------------------- in parallel


def test_cases_run_in_parallel_but_clock_cases_alone_and_last(tmp_path: Path, faulty: Callable[[str], None]) -> None:
    faulty("quick")
    clocks = [replace(SMALL, probe="clock", T=T) for T in (8, 9)]
    notes = Notes()
    measure(tmp_path, [clocks[0], *THREE[:2], clocks[1]], notes, workers=2)
    assert {notes.events[0], notes.events[1]} == {("started", 1), ("started", 2)}
    assert notes.events[4:] == [("started", 8), ("finished", 8), ("started", 9), ("finished", 9)]


def _wait_for(path: Path) -> Path:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.02)
    return path
