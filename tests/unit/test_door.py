"""``import spikecost``: the public names, each imported when it is first used, and the command ``python -m spikecost``."""

from __future__ import annotations

import ast
import doctest
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import spikecost
from bench import algorithms, backends, datasets, zoo
from bench.counting.step import batch_for, cost_of
from bench.training_step import training_step

REPOSITORY = Path(__file__).parents[2]
NAMES = {"algorithms": algorithms, "backends": backends, "datasets": datasets, "networks": zoo}


def in_a_process(code: str) -> str:
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return ended.stdout


@pytest.mark.parametrize("name", spikecost.__all__)
def test_public_names_exist_and_are_documented(name: str) -> None:
    value = getattr(spikecost, name)
    assert name == "__version__" or value.__doc__ or name in NAMES
    assert name in dir(spikecost)


def test_public_names_have_the_same_module_in_types_and_at_run_time() -> None:
    """What a type checker reads, and what is imported when a name is used."""
    tree = ast.parse(Path(spikecost.__file__).read_text(encoding="utf-8"))
    (typed,) = [node for node in tree.body if isinstance(node, ast.If)]
    read = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in typed.body
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("bench")
        for alias in node.names
    }
    assert read == spikecost._HOMES
    assert {*read, "__version__", "cost", "training_step"} == set(spikecost.__all__)


def test_docstring_example_gives_its_output() -> None:
    found = doctest.testmod(spikecost)
    assert found.attempted > 5
    assert found.failed == 0


def test_listing_public_names_imports_no_torch() -> None:
    code = (
        "import sys, spikecost\n"
        "assert not any(name.startswith('bench') for name in sys.modules), 'import is not lazy'\n"
        f"[getattr(spikecost, name)() for name in {list(NAMES)}], spikecost.UserError, spikecost.__version__, dir(spikecost)\n"
        "print({'torch', 'spikingjelly', 'snntorch', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    assert in_a_process(code) == "set()\n"


@pytest.mark.parametrize("name", NAMES)
def test_algorithms_backends_and_networks_are_those_of_the_registry(name: str) -> None:
    assert getattr(spikecost, name)() == NAMES[name].names()


def test_unknown_public_name_raises_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'spikecost' has no attribute 'algorithm'"):
        _ = spikecost.algorithm


def test_cost_equals_that_of_the_training_step() -> None:
    step = training_step("vgg5-small/digits", "tbptt", "native", device="meta", K=2)
    expected = cost_of(step, *batch_for(step, 4, 3, "meta"))
    found = spikecost.cost("vgg5-small/digits", "tbptt", "native", T=4, batch=3, K=2)
    assert found.memory == expected.memory
    assert found.macs.dense == expected.macs.dense
    assert found.traffic.conventions() == expected.traffic.conventions()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("network", "vgg5-smal/digits", "unknown network 'vgg5-smal/digits': did you mean vgg5-small/digits"),
        ("algorithm", "tbpt", "unknown algorithm 'tbpt': did you mean tbptt"),
        ("backend", "nativ", "unknown backend 'nativ': did you mean native"),
        (
            "network",
            "r400/fashion-mnist",
            "replay on backend native, network r400/fashion-mnist: one-bit replay recomputes backwards in time",
        ),
        ("T", 0, "T = 0: .*use T >= 1"),
        ("batch", 2.0, "batch = 2.0 is not a whole number"),
        ("K", 9, "K = 9 of T = 4 steps"),
        ("k", 2, "has no option 'k': "),
    ],
    ids=str,
)
def test_cost_rejects_mistakes_before_counting(name: str, value: object, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.probes.cost.cost_of", lambda *_: pytest.fail("something was counted"))
    names: dict[str, Any] = {"network": "vgg5-small/digits", "algorithm": "replay", "backend": "native"}
    values: dict[str, Any] = {"T": 4, "batch": 3, "K": 2}
    with pytest.raises(spikecost.UserError, match=told):
        spikecost.cost(**{**names, **values, name: value})


def test_python_m_spikecost_runs_the_command() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "spikecost", "lst"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    assert "Usage: spikecost" in ended.stderr
    assert "did you mean list" in ended.stderr
