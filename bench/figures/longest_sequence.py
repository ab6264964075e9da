"""The longest sequence that trains on a card of a given memory, one panel per network."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from bench import readers
from bench.figures import style
from bench.figures.paper import Paper, Plotted, origin
from bench.figures.words import by_algorithm, title
from bench.record import Record
from bench.registry import Dash

if TYPE_CHECKING:
    from matplotlib.axes import Axes

name = "longest_sequence"
_COLUMNS = 3
_METRIC = re.compile(r"longest T on a \d+ GiB card")


Point = list[float | str]  # GiB of the card, longest T (0: not one step), "count" or "formula"


class Line(TypedDict):
    algorithm: str
    title: str
    points: list[Point]


class Panel(TypedDict):
    network: str
    batch: int
    lines: list[Line]
    reported: list[list[float]]  # GiB, T
    gain: str


class Data(Plotted):
    reported: str | None
    panels: list[Panel]


@dataclass(frozen=True)
class _Reported:
    """A paper's claim that algorithm ``against`` reaches ``times`` the longest T of algorithm ``of``."""

    of: str
    against: str
    times: float
    label: str

    @classmethod
    def read(cls, paper: Paper) -> _Reported | None:
        if name not in paper.context:
            return None
        context = readers.table(paper.context[name], name)
        of, against, label = (readers.text(context.get(field), f"{field} of {name}") for field in ("of", "against", "label"))
        return cls(of, against, readers.number(context.get("times"), f"times of {name}"), label)


def data(paper: Paper) -> Data | None:
    """Every network on which the search was made, in the order of their names."""
    metrics = sorted({r.metric for r in paper.records if _METRIC.fullmatch(r.metric)})
    found = [r for metric in metrics for r in paper.counted(metric)]
    if not found:
        return None
    by_panel: dict[tuple[str, int], list[Record]] = {}
    for record in sorted(found, key=lambda r: (r.case["network"], r.case["batch"], *by_algorithm(r), _budget(r))):
        by_panel.setdefault((record.case["network"], record.case["batch"]), []).append(record)
    reported = _Reported.read(paper)
    headroom = readers.number(found[0].detail["headroom GiB"], "headroom GiB")
    batches = sorted({batch for _, batch in by_panel})
    panels = [_panel(*setting, records, reported) for setting, records in by_panel.items()]
    return {
        "title": "The longest sequence that trains",
        "subtitle": (
            "Most time steps T that train on a card: live tensors may take its memory less "
            f"{headroom:g} GiB for CUDA's context and workspaces. Filled: T and T + 1 were counted. "
            "Hollow: by a formula fitted to counts at small T. A line begins where one step fits. "
            f"Batch {' and '.join(map(str, batches))}."
        ),
        "origin": origin(paper, found, "each point is the result of one search"),
        "reported": reported.label if reported and any(panel["reported"] for panel in panels) else None,
        "panels": panels,
    }


def render(data: Data) -> str:
    with style.canvas():
        panels = data["panels"]
        columns = min(_COLUMNS, len(panels) + 1)
        deep = -(-(len(panels) + 1) // columns)
        figure = style.sheet(data, 2.35 * deep)
        grid = figure.subplots(deep, columns, squeeze=False, sharex=True, sharey=True)
        points = [point for panel in panels for line in panel["lines"] for point in _fitting(line)]
        claimed = [T for panel in panels for _, T in panel["reported"]]
        budgets, steps = sorted({GiB for GiB, *_ in points}), [T for _, T, _ in points] + claimed
        several = len({panel["batch"] for panel in panels}) > 1
        for axes, panel in zip(grid.flat, panels, strict=False):
            style.plain(axes)
            style.heading(axes, panel["network"] + (f", batch {panel['batch']}" if several else ""))
            style.logarithmic(axes, "x", budgets[0] / 1.15, budgets[-1] * 1.15, budgets)
            style.logarithmic(axes, "y", min(steps) / 1.4, max(steps) * 3, [10**e for e in range(7)])
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("card's memory, GiB")
            axes.plot(*_columns(panel["reported"]), color=style.MUTED.light, lw=1.4, ls=(0, (1, 1.4)))
            for line, dash in zip(panel["lines"], _dashes(panel["lines"]), strict=True):
                _line(axes, line, dash)
            if panel["gain"]:
                axes.text(
                    0.04, 0.97, panel["gain"], transform=axes.transAxes, size=7.5, color=style.INK.light, va="top",
                    bbox={"facecolor": style.PAPER.light, "edgecolor": "none", "pad": 1.5},
                )  # fmt: skip
        for axes in grid[:, 0]:
            axes.set_ylabel("longest T")
        for spare in grid.flat[len(panels) :]:
            spare.set_axis_off()
        _key(grid.flat[len(panels)], data)
        return style.svg(figure, data["title"], _description(panels))


def _panel(network: str, batch: int, records: list[Record], reported: _Reported | None) -> Panel:
    lines: dict[str, Line] = {}
    for r in records:
        line = lines.setdefault(title(r), {"algorithm": r.case["algorithm"], "title": title(r), "points": []})
        line["points"].append([_budget(r), r.number, readers.text(r.detail["found by"], "found by")])
    drawn = list(lines.values())
    return {
        "network": network,
        "batch": batch,
        "lines": drawn,
        "reported": [[GiB, reported.times * T] for GiB, T in _of(drawn, reported.of).items()] if reported else [],
        "gain": _gain(drawn, reported) if reported else "",
    }


def _budget(record: Record) -> float:
    return readers.number(record.detail["GiB"], "GiB")


def _of(lines: list[Line], algorithm: str) -> dict[float, float]:
    """Longest T by budget, of an algorithm's first setting; without the budgets that do not fit even one step."""
    found = next((line for line in lines if line["algorithm"] == algorithm), None)
    return {GiB: T for GiB, T, _ in _fitting(found)} if found else {}


def _fitting(line: Line) -> list[tuple[float, float, str]]:
    """Points at which at least one step fits."""
    points = [
        (readers.number(GiB, "GiB"), readers.number(T, "T"), readers.text(found_by, "found by"))
        for GiB, T, found_by in line["points"]
    ]
    return [point for point in points if point[1]]


def _gain(lines: list[Line], reported: _Reported) -> str:
    """How many times longer than the reference: least and most over the budgets."""
    mine, reference = _of(lines, reported.against), _of(lines, reported.of)
    gains = [mine[GiB] / reference[GiB] for GiB in sorted(mine.keys() & reference.keys())]
    if not gains:
        return ""
    names = [style.algorithm(algorithm).title for algorithm in (reported.against, reported.of)]
    return f"{names[0]}: {min(gains):.1f} to {max(gains):.0f} × {names[1]}"


def _line(axes: Axes, line: Line, dash: Dash) -> None:
    look = style.algorithm(line["algorithm"])
    shown = _fitting(line)
    axes.plot([GiB for GiB, *_ in shown], [T for _, T, _ in shown], color=look.colour.light, lw=min(look.width, 2.0), ls=dash)
    for how, face in (("count", look.colour.light), ("formula", style.PAPER.light)):
        at = [(GiB, T) for GiB, T, found_by in shown if found_by == how]
        axes.plot(*_columns(at), "o", ms=3.6, mew=1.0, mfc=face, mec=look.colour.light)


def _columns(points: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]


def _dashes(lines: list[Line]) -> list[Dash]:
    seen: Counter[str] = Counter()
    dashes = []
    for line in lines:
        dashes.append(style.variant(seen[line["algorithm"]]))
        seen[line["algorithm"]] += 1
    return dashes


def _key(axes: Axes, data: Data) -> None:
    """Names of the lines where a panel is left free."""
    from matplotlib.lines import Line2D

    lines = {line["title"]: line for panel in data["panels"] for line in panel["lines"]}
    ordered = sorted(lines.values(), key=lambda line: (style.algorithm_order(line["algorithm"]), line["title"]))
    handles = []
    for line, dash in zip(ordered, _dashes(ordered), strict=True):
        look = style.algorithm(line["algorithm"])
        handles.append(Line2D([], [], color=look.colour.light, lw=min(look.width, 2.0), ls=dash, label=line["title"]))
    if data["reported"]:
        handles.append(Line2D([], [], color=style.MUTED.light, lw=1.4, ls=(0, (1, 1.4)), label=data["reported"]))
    legend = axes.legend(handles=handles, loc="center left", frameon=False, fontsize=7.5, handlelength=2.6)
    for text in legend.get_texts():
        text.set_color(style.INK.light)


def _description(panels: list[Panel]) -> str:
    described = []
    for panel in panels:
        ends = "; ".join(f"{line['title']} T = {line['points'][-1][1]:,}" for line in panel["lines"])
        described.append(f"{panel['network']} on a {panel['lines'][0]['points'][-1][0]} GiB card: {ends}")
    return "Lines on logarithmic axes, one panel per network. " + ". ".join(described) + "."
