"""Names of machines and their GPUs."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import machine
from bench.plan import conditions, wanted_key
from bench.registry import PROBES
from tests.unit.stored import CASE


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


def test_machine_has_no_gpu_if_pytorch_lacks_cuda(
    driver: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
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
        assert (wanted_key(case, "NVIDIA H200") == wanted_key(case, None)) == (here == hidden)
    training = replace(CASE, probe="training", network="vgg5/cifar10")
    assert wanted_key(training, "NVIDIA H200")[2:] == ("NVIDIA H200", 1, "float32")
