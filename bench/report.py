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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.claims import VERDICTS, Verdict, as_csv, counts, judge, ledger_rows, load_claims
from bench.figures import style
from bench.figures.paper import Paper, options
from bench.figures.words import images
from bench.files import write_whole
from bench.records import Store, latest
from bench.spec import Record, UserError

DECIDED = ("reproduced", "partly", "not reproduced", "stale")
_MANY = 30  # rows of a cost table for people
_BLOCK = re.compile(r"(<!-- generated: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_COST = {
    "peak_live_bytes": "peak live bytes",
    "step_macs": "step MACs",
    "step_multiplications": "step multiplications",
    "traffic_bytes": "traffic bytes",
}


@dataclass(frozen=True)
class Chapter:
    """One paper in the report: what it is, what was judged, what is drawn."""

    paper: Paper
    about: Mapping[str, Any]
    figures: Mapping[str, Mapping[str, Any]]  # by name: data of every figure that has something to show
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
    def by_place(self) -> dict[str, list[Verdict]]:
        places: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts:
            places.setdefault(verdict.claim.place, []).append(verdict)
        return places

    @property
    def gates(self) -> dict[tuple[str, str], bool]:
        return self.paper.gates


def chapters(root: Path, fresh: Callable[[Record], bool]) -> list[Chapter]:
    """Every paper under reproductions/, judged from results/."""
    from bench.figures import FIGURES

    store = Store(root / "results")
    found = []
    for folder in sorted(path.parent for path in (root / "reproductions").glob("*/paper.toml")):
        records = latest(store.load(folder.name)[0])
        verdicts = judge(load_claims(folder), records, fresh)
        paper = Paper(folder.name, records, verdicts, _toml(folder / "context.toml"), fresh)
        drawn = {figure.name: data for figure in FIGURES if (data := figure.data(paper)) is not None}
        found.append(Chapter(paper, _toml(folder / "paper.toml"), drawn, _cost_table(paper)))
    return found


def texts(root: Path, fresh: Callable[[Record], bool]) -> dict[Path, str]:
    """What every generated file should hold."""
    from bench.figures import FIGURES

    found = chapters(root, fresh)
    files = {
        root / "results" / "ledger.csv": as_csv([row for chapter in found for row in ledger_rows(chapter.verdicts)]),
        root / "results" / "cost.csv": as_csv([row for chapter in found for row in chapter.cost]),
    }
    for chapter in found:
        for figure in FIGURES:
            if figure.name in chapter.figures:
                data = chapter.figures[figure.name]
                place = root / "plots" / chapter.name / figure.name
                files[place.with_suffix(".json")] = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
                files[place.with_suffix(".svg")] = figure.render(data)
    machines = Store(root / "results").machines()
    files[root / "plots" / "index.html"] = _template("index.html.j2", chapters=found, machines=machines)
    for readme in [root / "README.md", *sorted((root / "reproductions").glob("*/README.md"))]:
        of_paper = next((chapter for chapter in found if chapter.name == readme.parent.name), None)
        files[readme] = _with_blocks(readme, found, of_paper)
    return files


def write(root: Path, fresh: Callable[[Record], bool]) -> list[Path]:
    """Bring every generated file up to date; those that changed. Figures with nothing left to show go."""
    wanted = texts(root, fresh)
    changed = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path in changed:
        write_whole(path, wanted[path].encode())
    for path in _left_over(root, wanted):
        path.unlink()
    return changed


def check(root: Path, fresh: Callable[[Record], bool]) -> list[str]:
    """Generated files that are not what results/ and the claims make them."""
    wanted = texts(root, fresh)
    wrong = [path for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    return [str(path.relative_to(root)) for path in (*wrong, *_left_over(root, wanted))]


def summary(root: Path, fresh: Callable[[Record], bool], papers: Sequence[str], width: int = 100) -> str:
    """The decided claims and all counts of ``papers``, for a terminal."""
    import io

    from rich.console import Console
    from rich.table import Table

    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False)
    for folder in (root / "reproductions" / name for name in papers):
        records = latest(Store(root / "results").load(folder.name)[0])
        verdicts = judge(load_claims(folder), records, fresh)
        console.print(f"\n{folder.name}: {_counted(verdicts)}")
        table = Table(box=None, pad_edge=False)
        for column in ("verdict", "claim", "reported", "measured"):
            table.add_column(column, overflow="fold")
        for v in verdicts:
            if v.verdict in DECIDED:
                table.add_row(v.verdict, v.claim.statement, v.claim.printed, measured(v))
        if table.rows:
            console.print(table)
    return out.getvalue().rstrip().removeprefix("\n")


# --------------------------------------------------------------------------- parts


def measured(verdict: Verdict) -> str:
    """What was measured, in the claim's unit, as people read it."""
    value, unit = verdict.measured, verdict.claim.unit
    if value is None:
        return "–"
    if isinstance(value, str):
        shown = value
    elif unit.split()[0] == "B":
        return style.size(value) + unit.removeprefix("B")
    else:
        shown = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    return shown if unit == "1" else f"{shown} {unit}"


def _counted(verdicts: Sequence[Verdict]) -> str:
    return f"{len(verdicts)} claims: " + ", ".join(f"{n} {name}" for name, n in counts(verdicts).items() if n)


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
        row["peak"] = style.size(int(row["peak live bytes"]))
        row["saved"] = f"{int(reference['peak live bytes']) / int(row['peak live bytes']):.2f}" if reference else ""
        row["macs"] = f"{int(row['step MACs']) / 1e12:.3f}"
        row["multiplications"] = f"{int(row['step multiplications']) / 1e12:.3f}"
        row["traffic"] = style.size(int(row["traffic bytes"]))
    return rows


def event_columns(chapter: Chapter | None) -> list[dict[str, Any]]:
    """What the event recordings of each data set are like: real ones first, a part of a set told to be one."""
    records = chapter.paper.counted("event_rate") if chapter else []
    columns = []
    for record in sorted(records, key=lambda r: (_simulated(r), r.case["dataset"])):
        part = "" if _simulated(record) else record.detail.get("part", "")  # the name of what is simulated says so
        numbers = {name: _plain(value) for name, value in record.detail.items() if name != "part"}
        columns.append({"title": images(record.case["dataset"]) + (f" ({part})" if part else ""), "numbers": numbers})
    return columns


def _simulated(record: Record) -> bool:
    return str(record.detail.get("part", "")).startswith("simulated")


def _plain(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else f"{value:.3g}"


def _with_blocks(path: Path, found: Sequence[Chapter], chapter: Chapter | None) -> str:
    """A hand-written page with its generated blocks filled in."""

    def block(match: re.Match[str]) -> str:
        name = f"{match['name']}.md.j2"
        return match[1] + _template(name, chapters=found, chapter=chapter).strip() + "\n" + match[3]

    try:
        return _BLOCK.sub(block, path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}; take it back from git") from error


def _template(name: str, **values: Any) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("bench"),
        autoescape=name.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters |= {"measured": measured, "counts": counts, "cell": lambda text: str(text).replace("|", "\\|")}
    environment.globals |= {
        "VERDICTS": VERDICTS, "backend": style.backend, "looks": style.VERDICTS,
        "main_costs": main_costs, "event_columns": event_columns,
    }  # fmt: skip
    return environment.get_template(name).render(**values)


def _left_over(root: Path, wanted: Mapping[Path, str]) -> list[Path]:
    return [path for path in sorted((root / "plots").glob("*/*")) if path.suffix in (".svg", ".json") and path not in wanted]


def _toml(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
