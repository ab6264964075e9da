"""Every block of code and every command in README, docs and the papers' pages runs, page by page, in a copy of the project.

Commands in Python are forked from a process that has imported the libraries of others (preloaded.py). The words behind a block's
language say what is done with it:

    ```python                     run
    ```sh                         run, every line
    ```sh slow                    takes minutes: `make` alone shows what it would do; run whole by `pytest -m full`
    ```toml file=PATH             written to PATH
    ```python append=PATH         appended to PATH
    ```diff file=PATH             PATH edited: lines with + come in between the others, which stand in it once
    ```text                       shown, not run
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt

import bench.cli as cli
from tests.docs import preloaded

ROOT = Path(__file__).resolve().parents[2]
COMMAND = ("make ", "spikecost ")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "reproductions").glob("*/README.md"))]
# Pages whose commands take seconds to half a minute.
LONG = (
    "adding_an_algorithm",
    "adding_a_backend",
    "adding_a_data_set",
    "adding_a_paper",
    "adding_a_probe",
    "comparing_on_your_data",
)
SLOW = {ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in (*LONG, "your_network"))}
RUN = [pytest.param(page, marks=[pytest.mark.slow] if page in SLOW else []) for page in PAGES]
SHOWN = ("text",)
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", ".*_cache", "scratch", "runs", "plots", "*.egg-info")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what is done with it ("run", "slow", "file", "append"), where, and its text."""

    line: int
    language: str
    action: str
    path: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    for token in MarkdownIt().parse(page.read_text(encoding="utf-8")):
        if token.type == "code_block":
            raise ValueError(f"{page}, line {token.map[0] + 1}: an indented block has no language; fence it")
        if token.type == "fence":
            yield block(page, token.map[0] + 1, token.info.split(), token.content)


def block(page: Path, line: int, info: list[str], text: str) -> Block:
    match info:
        case [language] if language in (*SHOWN, "python", "sh"):
            return Block(line, language, "show" if language in SHOWN else "run", "", text)
        case ["sh", "slow"]:
            return Block(line, "sh", "slow", "", text)
        case [language, target] if target.startswith(("file=", "append=")):
            action, _, path = target.partition("=")
            return Block(line, language, action, path, text)
    raise ValueError(f"{page}, line {line}: no rule for a block ```{' '.join(info)}")


def commands_in_words(page: Path) -> list[str]:
    """Commands that stand in the running text or in a table."""
    inline = (token for token in MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8")) if token.type == "inline")
    spans = (child.content for token in inline for child in token.children or () if child.type == "code_inline")
    return [span for span in spans if span.startswith(COMMAND)]


def links(page: Path) -> Iterator[str]:
    """Targets of links and images that lie in the project."""
    inline = (token for token in MarkdownIt().enable("table").parse(page.read_text(encoding="utf-8")) if token.type == "inline")
    for child in (child for token in inline for child in token.children or ()):
        target = str(child.attrs.get("href") or child.attrs.get("src") or "")
        if target and "://" not in target:
            yield target


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    tokens = MarkdownIt().parse(page.read_text(encoding="utf-8"))
    titles = (text.content for head, text in pairwise(tokens) if head.type == "heading_open")
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project without what was measured and drawn; files keep their times, so that make finds its environment ready."""
    shutil.copytree(ROOT, tmp_path / "project", ignore=LEFT_OUT)
    return tmp_path / "project"


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the commands python, pytest and spikecost, and make, which does not install anew."""
    tools = tmp_path_factory.mktemp("tools")
    venv = Path(sys.executable).parents[1]
    make = tools / "make"
    make.write_text(f'#!/bin/sh\nexec {shutil.which("make")} VENV="{venv}" -o "{venv}/.ready" "$@"\n')
    make.chmod(0o755)
    preloaded.shims(tools, tools / "socket")
    with preloaded.server(tools / "socket"):
        yield tools


@pytest.fixture
def environment(tools: Path, project: Path) -> dict[str, str]:
    """Commands of this interpreter's environment; nothing is downloaded."""
    path = os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]])
    own = {name: value for name, value in os.environ.items() if not name.startswith("SPIKECOST_")}
    return {**own, "PATH": path, "PYTHONPATH": str(project), "https_proxy": "http://127.0.0.1:9"}


def apply(block: Block, project: Path) -> None:
    """Write, append to or edit the file that a block names."""
    path = project / block.path
    if block.language == "diff":
        lines = block.text.splitlines()
        before = "\n".join(line[1:] for line in lines if not line.startswith("+")) + "\n"
        after = "\n".join(line[1:] for line in lines if not line.startswith("-")) + "\n"
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1, f"{block.path} has these lines {text.count(before)} times, not once:\n{before}"
        path.write_text(text.replace(before, after), encoding="utf-8")
    elif block.action == "append":
        assert path.exists(), f"{block.path} is not there to append to"
        path.write_text(path.read_text(encoding="utf-8") + "\n\n" + block.text, encoding="utf-8")
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")


def run(command: list[str], page: Path, line: int, project: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{page}, line {line}: {' '.join(command)}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"


def follow(page: Path, project: Path, environment: dict[str, str], *, whole: bool) -> None:
    for block in blocks(page):
        if block.action in ("file", "append"):
            apply(block, project)
        elif block.language == "python":
            run(["python", "-c", block.text], page, block.line, project, environment)
        elif block.action == "run" or (block.action == "slow" and whole):
            run(["bash", "-euo", "pipefail", "-c", block.text], page, block.line, project, environment)
        elif block.action == "slow":
            for command in block.text.splitlines():
                run(["bash", "-euo", "pipefail", "-c", dry(command, page)], page, block.line, project, environment)


def dry(command: str, page: Path) -> str:
    """What shows that a long command exists and takes these words, without doing its work."""
    if command.startswith("make "):
        return command.replace("make", "make --dry-run", 1)
    if command.startswith("spikecost run "):
        return re.sub(r" --budget \S+", "", command.replace(" run ", " plan ", 1))
    raise ValueError(f"{page}: what this would do cannot be shown without doing it: {command}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_named_in_the_text_of_page_exist(page: Path, tools: Path) -> None:
    for command in commands_in_words(page):
        words = command.split()
        if words[0] == "make":
            run(
                ["make", "--dry-run", *words[1:]],
                page,
                0,
                ROOT,
                {**os.environ, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
            )
        else:
            told = CliRunner().invoke(cli.main, [words[1], "--help"])
            assert told.exit_code == 0, f"{page}: {command}\n{told.output}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_of_page_lead_to_files_and_headings(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        place = page.parent / path if path else page
        assert place.exists(), f"{page}: {target}"
        assert not anchor or anchor in anchors(place), f"{page}: {target}"


@pytest.mark.parametrize("page", RUN, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_and_commands_of_page_run_as_printed(page: Path, project: Path, environment: dict[str, str]) -> None:
    follow(page, project, environment, whole=False)


@pytest.mark.full
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_slow_commands_of_page_run_as_printed(page: Path, project: Path, environment: dict[str, str]) -> None:
    for measured in ("results/runs", "plots"):  # `make test` compares them
        shutil.copytree(ROOT / measured, project / measured, dirs_exist_ok=True)
    follow(page, project, environment, whole=True)


@pytest.mark.parametrize("info", [[], ["bash"], ["python", "slow"], ["sh", "file"]], ids=repr)
def test_block_without_known_meaning_is_refused(info: list[str]) -> None:
    with pytest.raises(ValueError, match="no rule for a block"):
        block(Path("page.md"), 1, info, "")
