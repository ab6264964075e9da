"""Which settings could have given what a paper reports: the change against BPTT of every setting counted, by convention."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TypedDict

from bench import readers
from bench.figures import style
from bench.figures.paper import Paper, Plotted, origin
from bench.record import Record
from bench.setting_search import CONVENTIONS, Report, Setting, agreeing_with_all, distance, fits, nearest, settings

name = "inverse_problem"
_LEFT, _RIGHT = -103.0, 40.0  # per cent; what lies beyond is counted at the edge
_BIN = 0.5  # per cent: the width of a mark
_SHADES = ((1, 0.3), (4, 0.5), (16, 0.75), (math.inf, 1.0))  # most settings in a mark, and its opacity


class Row(TypedDict):
    quantity: str
    convention: str
    reported: float
    tolerance: float
    changes: list[float]
    fits: list[str]
    nearest: float


class Data(Plotted):
    settings: int
    together: list[str]
    nearest: str
    rows: list[Row]


def data(paper: Paper) -> Data | None:
    """One row per convention; None without reports in context.toml or without settings counted beside BPTT."""
    reports = reported(paper)
    if not reports:
        return None
    context = readers.table(paper.context[name], name)
    algorithm, label = (readers.text(context.get(field), f"{field} of {name}") for field in ("algorithm", "label"))
    records = [r for metric in sorted({c.metric for c in CONVENTIONS}) for r in paper.counted(metric)]
    found = settings(records, algorithm)
    if not found:
        return None
    near, together = nearest(found, reports), agreeing_with_all(found, reports)
    rows: list[Row] = []
    for convention in CONVENTIONS:
        changes = sorted(round(s.changes[convention], 3) for s in found if convention in s.changes)
        if convention.quantity in reports and changes:
            report = reports[convention.quantity]
            rows.append(
                {
                    "quantity": convention.quantity,
                    "convention": convention.name,
                    "reported": report.change,
                    "tolerance": report.tolerance,
                    "changes": changes,
                    "fits": [str(s) for s in fits(found, convention, report)],
                    "nearest": round(near.changes.get(convention, 0.0), 2),
                }
            )
    one = "None agrees" if not together else f"{len(together)} agree"
    return {
        "title": "Which settings give what the paper reports?",
        "subtitle": (
            f"Change against BPTT of {len(found)} settings (networks, T, K, blocks, classifiers) in every way of counting. "
            f"A mark is {_BIN:g} % wide, and darker the more settings lie in it; bars: {label}. {one} with all {len(reports)} "
            f"reports at once; nearest (rings): {near}, {distance(near, reports):.3g} points off in its worst."
        ),
        "origin": origin(paper, [r for r in records if _counts(r, algorithm, found)], "each setting is one counted step"),
        "settings": len(found),
        "together": [str(s) for s in together],
        "nearest": str(near),
        "rows": rows,
    }


def reported(paper: Paper) -> dict[str, Report]:
    """What the paper reports, by quantity, as its context.toml holds it."""
    context = readers.table(paper.context.get(name, {}), name)
    reports = readers.table(context.get("reports", {}), f"reports of {name}")
    return {quantity: Report(*readers.numbers(bounds, quantity)) for quantity, bounds in reports.items()}


def _counts(record: Record, algorithm: str, found: Sequence[Setting]) -> bool:
    counted = record.case["algorithm"] in ("bptt", algorithm) and record.case["backend"] == "native"
    return counted and record.case["network"] in {setting.network for setting in found}


def _by_shade(changes: Sequence[float]) -> dict[float, list[float]]:
    """The places (left edges, %) of marks by their shade: a mark is darker the more changes lie in it."""
    counts = Counter(math.floor(change / _BIN) for change in changes)
    places: dict[float, list[float]] = {}
    for nth, count in sorted(counts.items()):
        shade = next(shade for most, shade in _SHADES if count <= most)
        places.setdefault(shade, []).append(nth * _BIN)
    return places


def _rectangles(places: Sequence[float], y: float) -> tuple[list[float], list[float]]:
    """Outlines of one mark per place, separated by NaN: they are one path of the SVG."""
    gap = float("nan")
    xs = [x for left in places for x in (left, left + _BIN, left + _BIN, left, gap)]
    return xs, [y - 0.3, y - 0.3, y + 0.3, y + 0.3, gap] * len(places)


def render(data: Data) -> str:
    with style.canvas():
        rows = data["rows"]
        figure = style.sheet(data, 0.36 * len(rows) + 0.22 * len({row["quantity"] for row in rows}) + 0.6)
        axes = figure.subplots()
        style.plain(axes, grid="x")
        axes.set_xlim(_LEFT, _RIGHT)
        colour = style.algorithm("ttl-bptt").colour.light
        y, ticks, quantity, described = 0.0, [], "", []
        for row in rows:
            if row["quantity"] != quantity:
                quantity = row["quantity"]
                y += 0.4
                axes.text(
                    0.008, y, f"{quantity}: {row['reported']:g} % reported", transform=axes.get_yaxis_transform(), size=7.5,
                    weight="bold", color=style.INK.light, va="center_baseline",
                )  # fmt: skip
                y += 0.75
            inside = [x for x in row["changes"] if x <= _RIGHT]
            for shade, places in _by_shade(inside).items():
                axes.fill(*_rectangles(places, y), color=colour, alpha=shade, lw=0)
            axes.plot([row["reported"]] * 2, [y - 0.42, y + 0.42], color=style.INK.light, lw=1.6)
            if row["nearest"] <= _RIGHT:
                axes.plot([row["nearest"]], [y], "o", ms=6.5, mfc="none", mew=1.1, color=style.INK.light)
            beyond = len(row["changes"]) - len(inside)
            words = f"{len(row['fits'])} of {len(row['changes'])} agree" + (f", {beyond} beyond" if beyond else "")
            axes.annotate(
                words, (1, y), (6, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points", size=7.5,
                color=(style.INK if row["fits"] else style.MUTED).light, va="center_baseline", annotation_clip=False,
            )  # fmt: skip
            described.append(f"{quantity} as {row['convention']}: {words}")
            ticks.append((y, row["convention"]))
            y += 1
        axes.set_ylim(y - 0.3, -0.2)
        axes.set_yticks([at for at, _ in ticks], [convention for _, convention in ticks])
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("change against BPTT, %")
        return style.svg(figure, data["title"], "One row of marks per convention. " + "; ".join(described) + ".")
