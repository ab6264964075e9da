"""What a record says of device, threads and commit."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench.errors import no
from bench.machine import gpu
from bench.plan import wanted_key
from bench.record_store import Store
from bench.registry import PROBES
from bench.runner import run as runner
from bench.runner import worker
from bench.runner.store import commit_of
from bench.runner.worker import Job
from tests.runner.running import MACHINE, PAPER, SMALL, measure, stored


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


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with code, claims, pages and results, committed."""
    root = tmp_path / "checkout"
    for name in ("bench/case.py", "bench/kernels/k.cpp", "reproductions/p/cases.py", "reproductions/p/README.md", "README.md",
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
    "name", ["bench/case.py", "bench/kernels/k.cpp", "bench/new.py", "bench/new/deep/er.py", "reproductions/p/cases.py"]
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
    (installed / "bench" / "case.py").write_text("two\n")
    assert commit_of(installed) != found
