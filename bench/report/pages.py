"""Hand-written pages that hold generated blocks, and the templates of blocks and of the page of figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from bench import front
from bench.errors import UserError, choose
from bench.figures import style
from bench.figures.measured import measured
from bench.places import Project
from bench.registry import ALGORITHMS
from bench.report import webpage
from bench.report.chapters import Chapter
from bench.report.tables import by_place, counted, day, equations_of, event_columns, main_costs, present

_MARKER = re.compile(r"<!--\s*(generated|end)\b")  # a line that means to be one
_START = re.compile(r"<!-- generated: ([\w-]+) -->")
_END = "<!-- end -->"


def pages_of(project: Project) -> list[Path]:
    """The hand-written pages that hold generated blocks."""
    return [project.root / "README.md", *sorted(project.reproductions.glob("*/README.md"))]


def blocks_of(page: Path) -> list[str]:
    """A page in parts: text, name of a block, text, name, ..., text; the markers stay in the text.

    Raises UserError by file and line for a block without an end, an end without a start, one block inside another, and a
    name that no block has: filling it would overwrite what people wrote.
    """
    try:
        lines = page.read_text(encoding="utf-8").splitlines(keepends=True)
    except OSError as error:
        raise UserError(f"cannot read {page}: {error.strerror}; take it back from git") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{page} is not text in UTF-8 ({error}); take it back from git") from None
    parts, opened, name = [""], 0, ""
    for number, line in enumerate(lines, start=1):
        text = line.rstrip("\r\n")
        start, here = _START.fullmatch(text), f"{page}, line {number}"
        if not _MARKER.search(text):
            parts[-1] += "" if opened else line
        elif text == _END:
            if not opened:
                raise UserError(f"{here}: '{_END}' ends nothing: put '<!-- generated: NAME -->' before it, or delete it")
            parts += [name, line]
            opened = 0
        elif start is None:
            raise UserError(f"{here}: {text!r} is not a marker: write '<!-- generated: NAME -->' or '{_END}', alone on its line")
        elif opened:
            raise UserError(f"{here}: a block starts inside the one of line {opened}: put '{_END}' between them")
        else:
            name, opened = start[1], number
            try:
                choose("generated block", name, block_names())
            except UserError as error:
                raise UserError(f"{here}: {error}") from None
            parts[-1] += line
    if opened:
        raise UserError(f"{page}, line {opened}: the block {name!r} has no end: put '{_END}' after it")
    return parts


def block_names() -> list[str]:
    return [path.name.removesuffix(".md.j2") for path in (Path(__file__).parents[1] / "templates").glob("*.md.j2")]


def filled(parts: Sequence[str], found: Sequence[Chapter], chapter: Chapter | None) -> str:
    """A page from its parts (see ``blocks_of``). What is filled in holds no comment, which could pass for a marker."""

    def rendered(name: str) -> str:
        return template(f"{name}.md.j2", chapters=found, chapter=chapter).strip().replace("<!--", "&lt;!--") + "\n"

    return "".join(rendered(part) if i % 2 else part for i, part in enumerate(parts))


def template(name: str, **values: object) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bench"),
        autoescape=name.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "measured": measured, "day": day, "counted": counted, "present": present, "by_place": by_place,
        "cell": cell, "sentence": lambda text: text[:1].upper() + text[1:], "css": lambda name: name.replace(" ", "-"),
        "kind": webpage.kind_of, "conditions": lambda of: ", ".join(f"{name} {value}" for name, value in of.items()),
    }  # fmt: skip
    environment.globals |= {
        "backend": style.backend, "looks": style.VERDICTS, "kinds": webpage.KINDS, "main_costs": main_costs,
        "event_columns": event_columns, "equations_of": equations_of, "algorithms": ALGORITHMS,
        "front_table": lambda chapters: front.table(row for chapter in chapters for row in chapter.cost),
    }  # fmt: skip
    return environment.get_template(name).render(**values)


def cell(text: object) -> str:
    """As a cell of a table in Markdown: on one line."""
    return " ".join(str(text).replace("|", "\\|").splitlines())
