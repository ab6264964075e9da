"""Tables and counts that pages show."""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Sequence
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, TypedDict

from bench import readers
from bench.claims import Verdict, counts
from bench.figures import style
from bench.figures.paper import Paper, options
from bench.figures.words import images
from bench.places import CODE
from bench.quantity import count_of, significant, size
from bench.record import Record
from bench.registry import ALGORITHMS

if TYPE_CHECKING:
    from bench.report.chapters import Chapter

_MANY = 30  # rows of a cost table on a page
_COST = {
    "peak_live_bytes": "peak live bytes",
    "step_macs": "step MACs",
    "step_multiplications": "step multiplications",
    "traffic_bytes": "traffic bytes",
}


class Statistics(TypedDict):
    """What the event recordings of a data set are like: ``numbers`` in words, by name."""

    title: str
    numbers: dict[str, str]


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
        return "measurements alone, no claims"
    return f"{count_of(len(verdicts), 'claim')}: " + ", ".join(f"{n} {name}" for name, n in present(verdicts).items())


def cost_table(paper: Paper) -> list[dict[str, str]]:
    """One row per case: what its training step costs. Numbers of a backend whose gate is not open are left out."""
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
        part = (
            "" if _simulated(record) else record.detail.get("part", "")
        )  # the name of a simulated data set says that it is simulated
        numbers = {name: _shown(readers.number(value, name)) for name, value in record.detail.items() if name != "part"}
        columns.append({"title": images(record.case["dataset"]) + (f" ({part})" if part else ""), "numbers": numbers})
    return columns


def _simulated(record: Record) -> bool:
    return str(record.detail.get("part", "")).startswith("simulated")


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 or float(value).is_integer() else significant(value)


def equations_of(algorithm: str) -> str:
    """Return the equations of an algorithm: the first indented block of its module's docstring."""
    path = (CODE / ALGORITHMS[algorithm].module.replace(".", "/")).with_suffix(".py")
    lines = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").splitlines()
    block = dropwhile(lambda line: not line.startswith("    "), lines)
    return textwrap.dedent("\n".join(takewhile(lambda line: line.startswith("    "), block)))
