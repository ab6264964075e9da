"""Every generated file: what it should hold, writing it, and comparing it with what it holds."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from bench.claims import as_csv, ledger_rows
from bench.files import write_whole
from bench.report import webpage
from bench.report.chapters import Report, readable
from bench.report.pages import blocks_of, filled, pages_of, template

_ENDINGS = (".svg", ".json")  # of a figure's files
_LISTED = re.compile(r'(?:href|src)="([\w-]+/[\w-]+\.(?:svg|json))"')  # a figure's file, in plots/index.html


def texts(report: Report) -> dict[Path, str]:
    """What every generated file should hold. Raises UserError, before any is written, if the markers of a page are no pairs."""
    from bench.figures import FIGURES

    project, found = report.project, report.chapters
    pages = {page: blocks_of(page) for page in pages_of(project)}
    files = {
        project.results / "ledger.csv": as_csv([row for chapter in found for row in ledger_rows(chapter.verdicts)]),
        project.results / "cost.csv": as_csv([row for chapter in found for row in chapter.cost]),
    }
    for chapter in found:
        for figure in FIGURES:
            if figure.name in chapter.figures:
                data = chapter.figures[figure.name]
                place = project.plots / chapter.name / figure.name
                files[place.with_suffix(".json")] = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
                with readable(f"figure {figure.name} of {chapter.name}"):
                    files[place.with_suffix(".svg")] = figure.render(data)
    with readable("plots/index.html"):
        known = webpage.data([chapter.paper for chapter in found])
        scripts = webpage.scripts(*webpage.FIT, *webpage.CLAIMS)
        files[project.plots / "index.html"] = template("index.html.j2", report=report, data=known, scripts=scripts)
    for page, parts in pages.items():
        of_paper = next((chapter for chapter in found if chapter.name == page.parent.name), None)
        with readable(project.name(page)):
            files[page] = filled(parts, found, of_paper)
    return files


def write(report: Report) -> list[Path]:
    """Bring every generated file up to date; those that changed. Figures that are no longer drawn are deleted."""
    wanted = texts(report)
    changed = [path for path, text in wanted.items() if content(path) != text]
    for path in left_over(report, wanted):  # before the index that lists them is replaced
        path.unlink()
    for path in changed:
        write_whole(path, wanted[path].encode())
    return changed


def check(report: Report) -> list[str]:
    """Generated files that do not match results/ and the claims."""
    wanted = texts(report)
    wrong = [path for path, text in wanted.items() if content(path) != text]
    return [report.project.name(path) for path in (*wrong, *left_over(report, wanted))]


def left_over(report: Report, wanted: Mapping[Path, str]) -> list[Path]:
    """Files of figures that a former report drew and this one does not: those that its index lists, or with a figure's name.

    Other files in plots/ belong to the user.
    """
    from bench.figures import FIGURES

    plots = report.project.plots
    names = {f"{chapter.name}/{figure.name}{ending}" for chapter in report.chapters for figure in FIGURES for ending in _ENDINGS}
    listed = _LISTED.findall(content(plots / "index.html") or "")
    return [path for path in (plots / name for name in sorted({*names, *listed})) if path not in wanted and path.is_file()]


def content(path: Path) -> str | None:
    """What a generated file holds now; None where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
