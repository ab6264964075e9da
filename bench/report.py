"""Judge and draw: every generated file of the repository as a function of results/ and the papers' claims.

    results/ledger.csv                    every claim with its verdict
    results/cost.csv                      the exact cost table of every paper
    plots/<paper>/<figure>.svg + .json    figures and the data plotted
    plots/index.html                      all of it on one page
    README.md, reproductions/*/README.md  the blocks between <!-- generated: NAME --> and <!-- end -->

The same results give the same bytes. Imports no torch; matplotlib only where a figure is drawn.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from bench import front, readers, webpage
from bench.claims import Verdict, as_csv, counts, judge, ledger_rows, load_claims
from bench.claims.judge import planned_by
from bench.errors import UserError, choose
from bench.figures import style
from bench.figures.measured import measured
from bench.figures.paper import Paper, options
from bench.figures.words import images
from bench.files import write_whole
from bench.machine import Identity
from bench.places import Project
from bench.plan import papers
from bench.quantity import count_of, significant, size
from bench.record import Record
from bench.record_store import LeftOut, Store, latest

if TYPE_CHECKING:
    from rich.table import Table

DECIDED = ("reproduced", "exceeded", "partly", "cannot tell", "not reproduced", "stale")
_MANY = 30  # rows of a cost table for people
_MARKER = re.compile(r"<!--\s*(generated|end)\b")  # a line that means to be one
_START = re.compile(r"<!-- generated: ([\w-]+) -->")
_END = "<!-- end -->"
_ENDINGS = (".svg", ".json")  # of a figure's files
_LISTED = re.compile(r'(?:href|src)="([\w-]+/[\w-]+\.(?:svg|json))"')  # a figure's file, in plots/index.html
_COST = {
    "peak_live_bytes": "peak live bytes",
    "step_macs": "step MACs",
    "step_multiplications": "step multiplications",
    "traffic_bytes": "traffic bytes",
}


class About(TypedDict):
    """What a paper is, for people."""

    title: str
    authors: list[str]
    venue: str
    link: str
    summary: str


class Statistics(TypedDict):
    """What the event recordings of a data set are like: ``numbers`` in words, by name."""

    title: str
    numbers: dict[str, str]


@dataclass(frozen=True)
class Chapter:
    """One paper in the report: what it is, what was judged, what is drawn."""

    paper: Paper
    about: About
    figures: Mapping[str, Mapping[str, object]]  # by name: data of every figure that has something to show
    cost: Sequence[Mapping[str, str]]

    @property
    def name(self) -> str:
        return self.paper.name

    @property
    def verdicts(self) -> Sequence[Verdict]:
        return self.paper.verdicts

    @property
    def decided(self) -> list[Verdict]:
        return [v for v in self.verdicts if v.verdict in DECIDED]

    @property
    def undecided(self) -> list[Verdict]:
        return [v for v in self.verdicts if v.verdict not in DECIDED]

    @property
    def gates(self) -> dict[tuple[str, str], bool]:
        return self.paper.gates


@dataclass(frozen=True)
class Report:
    """The whole report of a project: its papers, its machines, and the records in results/ that were rejected."""

    project: Project
    chapters: Sequence[Chapter]
    machines: Mapping[str, Identity]
    left_out: Sequence[LeftOut]

    @property
    def day(self) -> str:
        """Of the latest record: the same results give the same page."""
        return max((record.when[:10] for chapter in self.chapters for record in chapter.paper.records), default="")

    @property
    def version(self) -> str:
        """Of this package."""
        from bench.runner.store import version_of

        return version_of("spikecost")


def read(project: Project, fresh: Callable[[Record], bool]) -> Report:
    """Every paper under reproductions/, judged from results/. ``fresh``: whether today's code would make a record so."""
    from bench.figures import FIGURES

    store = Store(project.results)
    found = []
    folders = sorted({path.parent for name in ("paper.toml", "claims.toml") for path in project.reproductions.glob(f"*/{name}")})
    known = {*papers(), *(folder.name for folder in folders)}
    left_out = dict.fromkeys([*store.damaged_machines(), *store.strays(known)])
    for folder in folders:
        accepted, lines = store.load(folder.name)
        left_out |= dict.fromkeys(lines)
        records = latest(accepted)
        verdicts = judge(load_claims(folder), records, fresh)
        context = _toml(folder / "context.toml") if (folder / "context.toml").exists() else {}
        paper = Paper(folder.name, records, verdicts, context, fresh, planned_by(folder.name))
        drawn = {}
        for figure in FIGURES:
            with _readable(f"figure {figure.name} of {folder.name}"):
                data = figure.data(paper)
            if data is not None:
                drawn[figure.name] = data
        found.append(Chapter(paper, _about(folder / "paper.toml"), drawn, _cost_table(paper)))
    found.sort(key=lambda chapter: not chapter.paper.records)  # of which nothing was measured: last
    return Report(project, found, store.machines(), list(left_out))


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
                with _readable(f"figure {figure.name} of {chapter.name}"):
                    files[place.with_suffix(".svg")] = figure.render(data)
    with _readable("plots/index.html"):
        files[project.plots / "index.html"] = _template(
            "index.html.j2",
            report=report,
            page_data=webpage.data([chapter.paper for chapter in found]),
            page_scripts=webpage.scripts(),
        )
    for page, parts in pages.items():
        of_paper = next((chapter for chapter in found if chapter.name == page.parent.name), None)
        with _readable(project.name(page)):
            files[page] = _filled(parts, found, of_paper)
    return files


def write(report: Report) -> list[Path]:
    """Bring every generated file up to date; those that changed. Figures that are no longer drawn are deleted."""
    wanted = texts(report)
    changed = [path for path, text in wanted.items() if _content(path) != text]
    for path in _left_over(report, wanted):  # before the index that lists them is replaced
        path.unlink()
    for path in changed:
        write_whole(path, wanted[path].encode())
    return changed


def check(report: Report) -> list[str]:
    """Generated files that do not match results/ and the claims."""
    wanted = texts(report)
    wrong = [path for path, text in wanted.items() if _content(path) != text]
    return [report.project.name(path) for path in (*wrong, *_left_over(report, wanted))]


def summary(report: Report, papers: Sequence[str], run: str = "", width: int = 100) -> str:
    """The decided claims and all counts of ``papers``, for a terminal: first what ``run`` decided, then the rest."""
    import io

    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, markup=False)
    for chapter in (chapter for chapter in report.chapters if chapter.name in papers):
        console.print(f"\n{chapter.name}: {counted(chapter.verdicts)}")
        by_run = [v for v in chapter.decided if run and run in v.runs]
        earlier = [v for v in chapter.decided if v not in by_run]
        if run:
            console.print(f"claims decided by this run: {len(by_run)}; by records stored before it: {len(earlier)}")
        by_origin: dict[str, list[Verdict]] = {}
        for verdict in (*by_run, *earlier):
            by_origin.setdefault(_origin(verdict, run), []).append(verdict)
        for origin, verdicts in by_origin.items():
            console.print(f"{origin}:")
            console.print(_table(verdicts))
    return out.getvalue().rstrip().removeprefix("\n")


def _origin(verdict: Verdict, run: str) -> str:
    """Who decided it, where and when."""
    place = f"on {verdict.machine}, {day(verdict)}"
    if not run:
        return place
    if run not in verdict.runs:
        return f"decided before this run, {place}"
    return "decided by this run" if verdict.runs == (run,) else "decided by this run with records of earlier ones"


def _table(verdicts: Sequence[Verdict]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("verdict", "claim", "reported", "measured"):
        table.add_column(column, overflow="fold")
    for v in verdicts:
        table.add_row(v.verdict, v.claim.statement, v.claim.printed, measured(v))
    return table


# --------------------------------------------------------------------------- parts


def day(verdict: Verdict) -> str:
    """Of the latest measurement that decided it."""
    return verdict.when[:10]


def by_place(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """In groups by their place in the paper, in the order of the claims."""
    places: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        places.setdefault(verdict.claim.place, []).append(verdict)
    return places


def present(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """How many of each verdict that there is."""
    return {name: n for name, n in counts(verdicts).items() if n}


def counted(verdicts: Sequence[Verdict]) -> str:
    """All counts in a line; the numbers of a paper without claims are only a comparison."""
    if not verdicts:
        return "a comparison, no claims"
    return f"{count_of(len(verdicts), 'claim')}: " + ", ".join(f"{n} {name}" for name, n in present(verdicts).items())


def _cost_table(paper: Paper) -> list[dict[str, str]]:
    """One row a case: what its training step costs. Numbers of a backend whose gate is not open are left out."""
    rows: dict[str, dict[str, str]] = {}
    for metric, column in _COST.items():
        for record in paper.counted(metric):
            case = record.case
            row = rows.setdefault(
                record.key,
                {
                    "paper": paper.name,
                    **{name: str(case[name]) for name in ("network", "algorithm", "backend", "T", "batch")},
                    "options": options(record),
                    **dict.fromkeys(_COST.values(), ""),
                },
            )
            row[column] = str(record.value)
    return list(rows.values())


def main_costs(chapter: Chapter) -> list[dict[str, str]]:
    """The cost of a paper's main network at the T of its claims, against native BPTT."""
    data = chapter.figures.get("peak_breakdown")
    if data is None:
        return []
    setting = {"network": data["network"], "T": str(data["T"]), "batch": str(data["batch"])}
    rows = [dict(row) for row in chapter.cost if all(row[name] == value for name, value in setting.items())]
    if len(rows) > _MANY:  # of a design space, the settings with the fewest options beside the defaults
        fewest = {
            row["algorithm"]: min(r["options"].count("=") for r in rows if r["algorithm"] == row["algorithm"]) for row in rows
        }
        rows = [row for row in rows if row["options"].count("=") == fewest[row["algorithm"]]]
    rows.sort(key=lambda row: (style.backend_order(row["backend"]), style.algorithm_order(row["algorithm"]), row["options"]))
    reference = next((r for r in rows if (r["algorithm"], r["backend"]) == ("bptt", "native")), None)
    for row in rows:
        title = style.algorithm(row["algorithm"]).title
        row["title"] = f"{title} ({row['options']})" if row["options"] else title
        row["peak"] = size(int(row["peak live bytes"]))
        row["saved"] = significant(int(reference["peak live bytes"]) / int(row["peak live bytes"])) if reference else ""
        row["macs"] = significant(int(row["step MACs"]) / 1e12)
        row["multiplications"] = significant(int(row["step multiplications"]) / 1e12)
        row["traffic"] = size(int(row["traffic bytes"]))
    return rows


def event_columns(chapter: Chapter | None) -> list[Statistics]:
    """What the event recordings of each data set are like: real ones first, a part of a set is labelled as such."""
    records = chapter.paper.counted("event_rate") if chapter else []
    columns: list[Statistics] = []
    for record in sorted(records, key=lambda r: (_simulated(r), r.case["dataset"])):
        part = "" if _simulated(record) else record.detail.get("part", "")  # the name of what is simulated says so
        numbers = {name: _shown(readers.number(value, name)) for name, value in record.detail.items() if name != "part"}
        columns.append({"title": images(record.case["dataset"]) + (f" ({part})" if part else ""), "numbers": numbers})
    return columns


def _simulated(record: Record) -> bool:
    return str(record.detail.get("part", "")).startswith("simulated")


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else significant(value)


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
        raise UserError(f"{page} is no text in UTF-8 ({error}); take it back from git") from None
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
            raise UserError(f"{here}: {text!r} is no marker: write '<!-- generated: NAME -->' or '{_END}', alone on its line")
        elif opened:
            raise UserError(f"{here}: a block starts inside the one of line {opened}: put '{_END}' between them")
        else:
            name, opened = start[1], number
            try:
                choose("generated block", name, _blocks())
            except UserError as error:
                raise UserError(f"{here}: {error}") from None
            parts[-1] += line
    if opened:
        raise UserError(f"{page}, line {opened}: the block {name!r} has no end: put '{_END}' after it")
    return parts


def _blocks() -> list[str]:
    return [path.name.removesuffix(".md.j2") for path in (Path(__file__).parent / "templates").glob("*.md.j2")]


def _filled(parts: Sequence[str], found: Sequence[Chapter], chapter: Chapter | None) -> str:
    """A page from its parts (see ``blocks_of``). What is filled in holds no comment, which could pass for a marker."""

    def rendered(name: str) -> str:
        return _template(f"{name}.md.j2", chapters=found, chapter=chapter).strip().replace("<!--", "&lt;!--") + "\n"

    return "".join(rendered(part) if i % 2 else part for i, part in enumerate(parts))


def _template(name: str, **values: object) -> str:
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
        "cell": _cell, "sentence": lambda text: text[:1].upper() + text[1:], "css": lambda name: name.replace(" ", "-"),
        "kind": webpage.kind_of, "conditions": lambda of: ", ".join(f"{name} {value}" for name, value in of.items()),
    }  # fmt: skip
    environment.globals |= {
        "backend": style.backend, "looks": style.VERDICTS, "kinds": webpage.KINDS, "main_costs": main_costs,
        "event_columns": event_columns,
        "front_table": lambda chapters: front.table(row for chapter in chapters for row in chapter.cost),
    }  # fmt: skip
    return environment.get_template(name).render(**values)


def _cell(text: object) -> str:
    """As a cell of a table in Markdown: on one line."""
    return " ".join(str(text).replace("|", "\\|").splitlines())


def _left_over(report: Report, wanted: Mapping[Path, str]) -> list[Path]:
    """Files of figures that a former report drew and this one does not: those that its index lists, or with a figure's name.

    Anything else in plots/ is somebody's own.
    """
    from bench.figures import FIGURES

    plots = report.project.plots
    names = {f"{chapter.name}/{figure.name}{ending}" for chapter in report.chapters for figure in FIGURES for ending in _ENDINGS}
    listed = _LISTED.findall(_content(plots / "index.html") or "")
    return [path for path in (plots / name for name in sorted({*names, *listed})) if path not in wanted and path.is_file()]


@contextmanager
def _readable(what: str) -> Iterator[None]:
    """A record's detail may hold anything; where it is not what its probe writes, UserError says what was not made of it."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UserError(
            f"{what} cannot be made: the detail of a record or context.toml is not what it reads "
            f"({type(error).__name__}: {error}); take results/runs/ and context.toml back from git, or measure again"
        ) from error


def _content(path: Path) -> str | None:
    """What a generated file holds now; None where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def _about(path: Path) -> About:
    """Every field that a page shows must be there."""
    content = _toml(path)

    def text(name: str) -> str:
        return readers.text(content.get(name), f"field {name}")

    try:
        return {
            "title": text("title"),
            "authors": readers.texts(content.get("authors"), "field authors"),
            "venue": text("venue"),
            "link": text("link"),
            "summary": text("summary"),
        }
    except TypeError as error:
        raise UserError(f"{path}, {error}; pages show it (see docs/adding_a_paper.md)") from None


def _toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; every paper has one (see docs/adding_a_paper.md)") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from None
