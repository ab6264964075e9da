"""`list` and `plan` are quick: no heavy library is imported."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from tests.command.calling import REPOSITORY


def test_installed_command_calls_main_of_the_package() -> None:
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts == {"spikecost": "spikecost.__main__:main"}
    assert callable(importlib.import_module("spikecost.__main__").main)


HEAVY = "{'torch', 'snntorch', 'spikingjelly', 'sklearn', 'matplotlib', 'pandas'} & set(sys.modules)"


def seconds(*arguments: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, check=True)
    return time.perf_counter() - began


LOOKING = (("-m", "spikecost", "list"), ("-m", "spikecost", "plan"), ("-c", "import bench.cli, bench.report"))


def test_list_and_plan_take_less_time_than_importing_torch() -> None:
    """The least of some turns: what else the machine does only ever adds."""
    turns = [[seconds(*command) for command in (*LOOKING, ("-c", "import torch"))] for _ in range(3)]
    *looking, torch = map(min, zip(*turns, strict=True))
    assert max(looking) < torch, looking


@pytest.mark.parametrize("arguments", [["list"], ["plan"]])
def test_list_and_plan_import_no_heavy_library(arguments: list[str]) -> None:
    code = f"import sys; from bench.cli import main; main({arguments}, standalone_mode=False); print({HEAVY}, file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines()[-1] == "set()"
    assert ended.stdout


def test_report_imports_no_torch(root: Path) -> None:
    shutil.copytree(REPOSITORY / "results", root / "results", ignore=shutil.ignore_patterns("scratch", "*.csv"))
    code = (
        f"import sys, bench.cli as cli; import bench.report; heavy = {HEAVY}\n"
        "cli.main(['report', '--project', sys.argv[1]], standalone_mode=False)\n"
        "print(heavy, 'torch' in sys.modules, file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, str(root)]
    ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stderr.splitlines()[-1] == "set() False"
    assert (root / "results" / "ledger.csv").stat().st_size > 0
    assert (root / "plots" / "index.html").exists()
