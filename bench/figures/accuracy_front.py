"""Accuracy against peak memory over a design space, and its Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from bench.design_space import Cell, setting
from bench.figures import style
from bench.figures.paper import Paper, Plotted, origin
from bench.figures.spaces import Space, Summary, spaces, summary
from bench.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

name = "accuracy_front"


class Point(Summary):
    K: int
    b: int | str
    title: str
    algorithm: str
    memory: float


class Ranked(Point):
    beaten: bool


class Panel(TypedDict):
    title: str
    what: str
    points: list[Ranked]


class Data(Plotted):
    panels: list[Panel]


def data(paper: Paper) -> Data | None:
    """Cells whose training and cost are both known, against BPTT's cost there: one panel per data set."""
    peaks = paper.counted("peak_live_bytes")
    used: list[Record] = []
    panels = [panel for space in spaces(paper) if (panel := _panel(space, peaks, used))]
    if not panels:
        return None
    return {
        "title": "Test accuracy against training memory, over truncation and blocks",
        "subtitle": (
            "Peak live bytes of a training step over BPTT's; mean test accuracy, bars: standard deviation over n seeds. "
            "Small: another cell needs no more memory and is no less accurate in the mean. Grey line: the others. "
            + "; ".join(panel["what"] for panel in panels)
            + "."
        ),
        "origin": origin(paper, used, "each point is a mean over seeds"),
        "panels": panels,
    }


def _panel(space: Space, peaks: Sequence[Record], used: list[Record]) -> Panel | None:
    cost = space.of(peaks)
    uncut = Cell(space.case["T"])
    if uncut not in cost:
        return None
    bptt = cost[uncut][0].number
    points: list[Point] = []
    for cell, runs in space.runs.items():
        if cell in cost:
            used += [*runs, cost[cell][0]]
            points.append(
                {
                    "K": cell.K,
                    "b": cell.blocks,
                    "title": str(cell),
                    "algorithm": setting(cell, space.case["T"])[0],
                    "memory": cost[cell][0].number / bptt,
                    **summary(runs),
                }
            )
    return {
        "title": space.title,
        "what": space.what,
        "points": [{**p, "beaten": any(_beats(q, p) for q in points)} for p in points],
    }


def _beats(a: Point, b: Point) -> bool:
    """Whether ``a`` needs no more memory and is no less accurate, and better in one."""
    pairs = [(a["memory"], b["memory"]), (-a["mean"], -b["mean"])]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


def render(data: Data) -> str:
    with style.canvas():
        panels = data["panels"]
        figure = style.sheet(data, 2.6 * len(panels))
        grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True)
        for axes, panel in zip(grid.flat, panels, strict=True):
            _draw(axes, panel)
        grid[-1, 0].set_xlabel("peak live bytes / BPTT's")
        described = "; ".join(
            f"{panel['title']}: "
            + ", ".join(f"{p['title']} {p['mean']:.1f} % at {p['memory']:.2f} of the memory" for p in panel["points"])
            for panel in panels
        )
        return style.svg(figure, data["title"], f"Accuracy and share of BPTT's memory, by cell. {described}.")


def _draw(axes: Axes, panel: Panel) -> None:
    style.plain(axes)
    style.heading(axes, panel["title"])
    points = panel["points"]
    lows, highs = ([p["mean"] + sign * (p["spread"] or 0) for p in points] for sign in (-1, 1))
    room = 0.08 * (max(highs) - min(lows) or 1)
    axes.set_xlim(0, max(p["memory"] for p in points) * 1.04)
    axes.set_ylim(min(lows) - room, max(highs) + room)
    axes.tick_params(labelbottom=True)
    axes.set_ylabel("test accuracy, %")
    front = sorted((p["memory"], p["mean"]) for p in points if not p["beaten"])
    axes.plot([x for x, _ in front], [y for _, y in front], color=style.MUTED.light, lw=1.2, alpha=0.7, zorder=1)
    ends = []
    for p in points:
        colour = style.algorithm(p["algorithm"]).colour
        axes.plot([p["memory"], axes.get_xlim()[1]], [p["mean"]] * 2, lw=0.5, ls=(0, (1, 2)), color=colour.light, zorder=1)
        axes.errorbar(
            [p["memory"]], [p["mean"]], [p["spread"] or 0], fmt="o", ms=4 if p["beaten"] else 8, color=colour.light,
            elinewidth=0.9, capsize=2, zorder=3,
        )  # fmt: skip
        name = style.algorithm(p["algorithm"]).title
        ends.append((p["mean"], f"{name}, {p['title']}: {p['mean']:.1f}, n = {p['n']}", colour))
    style.end_labels(axes, ends, 0.085)
