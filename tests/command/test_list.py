"""`spikecost list`: options, and what is missing here with the reason."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from bench import backends
from bench.errors import UserError
from bench.registry import ALGORITHMS, BACKENDS, PROBES
from tests.command.calling import Invoke, complaint, fabricated


def test_list_shows_why_a_missing_framework_cannot_be_used(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec

    def without(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "snntorch" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    listed = invoke("list")
    assert listed.exit_code == 0
    told = listed.output.splitlines()
    assert "  snntorch  - snntorch is not installed: pip install '.[frameworks]'" in told
    assert f"  native  torch {backends.version('native')}" in told
    assert f"  spikingjelly  spikingjelly {backends.version('spikingjelly')}" in told

    from bench.training_step import support

    answer = support("vgg-sws-small/cifar10", "bptt", "snntorch")
    assert not answer
    assert "snntorch is not installed" in answer.reason
    with pytest.raises(UserError, match="backend snntorch: snntorch is not installed"):
        backends.load("snntorch")


def test_load_reports_a_framework_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> ModuleType:
        raise ImportError("its shared library is not for this machine")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(
        UserError, match=r"backend snntorch: snntorch \S+ is installed but cannot be imported: its shared library"
    ):
        backends.load("snntorch")


def test_list_shows_memory_exactness_and_options_in_80_columns(invoke: Invoke) -> None:
    listed = invoke("list").output
    assert all(len(line) <= 80 or " " not in line.strip() for line in listed.splitlines())  # an address cannot be wrapped
    for name, entry in ALGORITHMS.items():
        (line,) = [line for line in listed.splitlines() if line.startswith(f"  {name} ") and entry.title in line]
        assert line.endswith(entry.memory)
        assert (" exact " in line) is entry.exact
    words = " ".join(listed.split())
    for probe in PROBES.values():
        assert ", ".join(probe.options) in words


@pytest.mark.parametrize("name", [*ALGORITHMS, *BACKENDS, *PROBES])
def test_list_shows_the_options_of_an_entry(name: str, invoke: Invoke) -> None:
    if name in BACKENDS and not backends.available(name):
        pytest.skip("cannot be used here")
    shown = invoke("list", name)
    assert shown.exit_code == 0, shown.output
    assert max(map(len, shown.output.splitlines())) <= 80
    module = importlib.import_module({**ALGORITHMS, **BACKENDS, **PROBES}[name].module)
    text = " ".join(shown.output.split())
    if options := getattr(module, "Options", None):
        assert all(f"{option} {meaning}" in text for option, meaning in options.meanings().items())
    assert ("lr learning rate (a number >= 0; default 0.1)" in text) is (name in ALGORITHMS)


def test_list_rejects_an_unknown_name_with_close_ones(invoke: Invoke) -> None:
    assert complaint(invoke("list", "skiper")).startswith("unknown algorithm, backend or probe 'skiper': did you mean skipper")


def test_list_shows_missing_data(invoke: Invoke) -> None:
    (line,) = [line for line in invoke("list").output.splitlines() if line.startswith("  cifar10 ")]
    assert "CIFAR-10 is not under the data root: set SPIKECOST_DATA_ROOT" in line


def test_plan_names_digits_if_they_replace_missing_data(invoke: Invoke, tmp_path: Path) -> None:
    assert "/training/digits/" in invoke("plan", "ottt").output
    fabricated(tmp_path / "data")
    with_data = invoke("plan", "ottt", data_root=tmp_path / "data").output
    assert "/training/cifar10/" in with_data
    assert "/digits/" not in with_data


def test_list_rejects_a_missing_data_root(invoke: Invoke, root: Path) -> None:
    result = invoke("list", data_root=root / "nowhere")
    assert "nowhere does not exist" in complaint(result)
    assert result.stdout == ""


def test_version_option_names_the_digest_of_the_code(invoke: Invoke) -> None:
    assert re.fullmatch(r"spikecost \S+, code of [0-9a-f]{12}\+?\n", invoke("--version").output)
