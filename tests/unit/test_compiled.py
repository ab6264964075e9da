"""Building the C++ kernels: once, into the user's cache folder; and the errors if they cannot be built."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from bench import backends
from bench.case import Case
from bench.errors import UserError
from bench.kernels import compiled, compiler
from bench.record_store import Store
from bench.runner.store import recorder
from bench.runner.worker import Job, work
from bench.training_step import training_step

SMALL = "vgg-sws-small/cifar10"


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """An empty cache folder and no loaded kernels; they are reloaded after the test."""
    monkeypatch.setattr(compiled.platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    compiled.library.cache_clear()
    yield tmp_path / "spikecost" / "kernels"
    compiled.library.cache_clear()


def a_compiler(path: Path, script: str) -> str:
    """An executable script used as the compiler."""
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize("variables", [{"PATH": ""}, {"CXX": "no-such-compiler"}], ids=["none on the PATH", "none of that name"])
def test_library_without_a_compiler_raises_an_error_with_the_remedy(
    folder: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    monkeypatch.delenv("CXX", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert not compiler.available()
    with pytest.raises(UserError, match=r"C\+\+ compiler: install g\+\+ .* or name one in CXX"):
        compiled.library()
    with pytest.raises(UserError, match="install g"):  # when the network is built, not during a step
        training_step(SMALL, "bptt", "native-fast")
    training_step(SMALL, "bptt", "native")


def test_library_error_quotes_a_failing_compiler(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = a_compiler(tmp_path / "broken", 'echo "cpu.cpp:1: no such language" >&2; exit 3')
    monkeypatch.setenv("CXX", broken)
    with pytest.raises(UserError) as error:
        compiled.library()
    assert broken in str(error.value)
    assert "use backend native" in str(error.value)
    assert "cpu.cpp:1: no such language" in str(error.value)
    assert [file.suffix for file in folder.iterdir()] == [".lock"]  # no partial file is left


@pytest.mark.skipif(not compiler.available(), reason=compiler.available().reason)
def test_library_is_built_once(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The compiler is a script that records its calls; a call for its version is no build."""
    real, notes = compiler.compiler(), tmp_path / "calls"
    noting = a_compiler(tmp_path / "noting", f'echo "$@" >> "{notes}"\nexec "{real}" "$@"')
    monkeypatch.setenv("CXX", noting)
    quick = ("-std=c++17", "-O0", "-shared", "-fPIC")
    monkeypatch.setattr(compiled, "FLAGS", quick)

    def builds() -> int:
        return sum("-shared" in line for line in notes.read_text(encoding="utf-8").splitlines())

    first = compiled.library()
    assert compiled.library() is first
    assert builds() == 1
    (built,) = folder.glob("*.so")
    made = built.stat().st_mtime_ns
    compiled.library.cache_clear()  # like a new process
    assert isinstance(compiled.library(), ctypes.CDLL)
    assert builds() == 1
    assert built.stat().st_mtime_ns == made

    monkeypatch.setattr(compiled, "FLAGS", (*quick, "-DANOTHER"))  # other flags need another library
    compiled.library.cache_clear()
    compiled.library()
    assert builds() == 2
    assert len(list(folder.glob("*.so"))) == 2


class _Heard:
    """Collects the messages of a worker."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def send(self, message: Any) -> None:
        self.messages.append(message)

    def close(self) -> None:
        pass


def records_of(case: Case, root: Path) -> list[Any]:
    """Return the records of a case, measured in this process."""
    import signal

    channel: Any = _Heard()
    interrupt, threads = signal.getsignal(signal.SIGINT), torch.get_num_threads()
    try:
        with torch.random.fork_rng(devices=[]):
            work(Job(case, None, root), channel)
    finally:
        signal.signal(signal.SIGINT, interrupt)
        torch.set_num_threads(threads)
    store = Store(root / "results")
    ((_, outcome),) = [message for message in channel.messages if message[0] == "outcome"]
    recorder(store, "m", "r")(case, outcome)
    records, torn = store.load(case.paper)
    assert torn == []
    return list(records)


@pytest.mark.skipif(not compiler.available(), reason=compiler.available().reason)
@pytest.mark.parametrize("probe", ["cost", "equivalence", "count"])
@pytest.mark.parametrize("backend", ["native-fast", "native-balanced", "native-small"])
def test_records_name_the_kernel(probe: str, backend: str, tmp_path: Path) -> None:
    case = Case("p", probe, SMALL, "bptt", backend, T=2, batch=1)
    records = records_of(case, tmp_path)
    assert records
    expected = backends.load(backend).kernel()
    assert expected == ("fused LIF: Triton" if torch.cuda.is_available() else "fused LIF: C++")
    for record in records:
        assert record.status == "ok", record.reason
        assert record.kernel == expected


def test_record_without_a_compiler_has_the_reason(folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The case is unsupported with the reason; no other kernel is used instead."""
    monkeypatch.setenv("CXX", os.path.join(tmp_path, "gone"))
    (record,) = records_of(Case("p", "equivalence", SMALL, "bptt", "native-fast", T=2, batch=1), tmp_path)
    assert record.status != "ok"
    assert "install g++" in record.reason
    assert record.value is None
