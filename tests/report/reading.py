"""Generated files, written, checked and read as a person reads them."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from bench import report
from bench.files import write_whole
from bench.places import Project
from bench.record import Record
from bench.report import Report


def trusting(_: Record) -> bool:
    """In the copies every record counts, whichever code made it: they are about files, not about code."""
    return True


def read(root: Path) -> Report:
    return report.read(Project(root, root / "results"), trusting)


def write(root: Path) -> list[Path]:
    return report.write(read(root))


def drawn_once(figure: ModuleType, folder: Path) -> SimpleNamespace:
    """A figure that draws the same data once, for all processes that know the folder.

    That it draws them alike is tested with hand-made records, and by the drawings in the repository.
    """

    def render(data: Mapping[str, Any]) -> str:
        known = f"{figure.name} {json.dumps(data, sort_keys=True)}"
        path = folder / f"{hashlib.sha256(known.encode()).hexdigest()}.svg"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(path, figure.render(data).encode())
        return path.read_text(encoding="utf-8")

    return SimpleNamespace(name=figure.name, data=figure.data, render=render)


def replaced(path: Path, old: str, new: str) -> None:
    """Put ``new`` in the place of the first ``old``."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def first(root: Path) -> Path:
    return next((root / "results" / "runs").glob("*/ottt.jsonl"))


def measured_pages(root: Path) -> list[Path]:
    """The pages of papers that have records. A new paper has none, and shows that nothing was attempted."""
    measured = {path.stem for path in (root / "results" / "runs").glob("*/*.jsonl")}
    assert {"ottt", "skipper", "ttl_bptt"} <= measured
    return [root / "reproductions" / paper / "README.md" for paper in sorted(measured)]


def csv_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def block(page: Path, name: str) -> str:
    return page.read_text(encoding="utf-8").split(f"<!-- generated: {name} -->")[1].split("<!-- end -->")[0]


def tables(page: Path, name: str) -> list[list[dict[str, str]]]:
    """Every table of a generated block, as rows by column title."""
    tables = []
    for lines in re.findall(r"(?:^\|.*\n)+", block(page, name), re.MULTILINE):
        titles, rule, *rows = [cells(line) for line in lines.splitlines()]
        assert all(set(cell) <= set(":-") for cell in rule)
        tables.append([dict(zip(titles, row, strict=True)) for row in rows])
    return tables


def cells(line: str) -> list[str]:
    return [cell.strip().replace(r"\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
