"""`list` and `plan` are quick: no heavy library is imported."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import resource
import subprocess
import sys
import tomllib

import pytest

from tests.command.calling import REPOSITORY


def test_installed_command_calls_main_of_the_package() -> None:
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts == {"spikecost": "spikecost.__main__:main"}
    assert callable(importlib.import_module("spikecost.__main__").main)


HEAVY = "{'torch', 'snntorch', 'spikingjelly', 'sklearn', 'matplotlib', 'pandas'} & set(sys.modules)"


def seconds(*arguments: str) -> float:
    """Of the processor, which do not depend on what else the machine does."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


LOOKING = (("-m", "spikecost", "list"), ("-m", "spikecost", "plan"), ("-c", "import bench.cli, bench.report"))


def test_list_and_plan_take_less_time_than_importing_torch() -> None:
    *looking, torch = (seconds(*command) for command in (*LOOKING, ("-c", "import torch")))
    assert max(looking) < torch, looking


@pytest.mark.parametrize("arguments", [["list"], ["plan"]])
def test_list_and_plan_import_no_heavy_library(arguments: list[str]) -> None:
    code = f"import sys; from bench.cli import main; main({arguments}, standalone_mode=False); print({HEAVY}, file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines()[-1] == "set()"
    assert ended.stdout
