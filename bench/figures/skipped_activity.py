"""Spikes of every time step of a real batch, and which steps an algorithm that skips the least active ones keeps."""

from __future__ import annotations

from typing import TypedDict

from bench import readers
from bench.figures import style
from bench.figures.paper import Paper, Plotted, natural, on_batch, options, origin
from bench.figures.words import images, shared
from bench.record import Record

name = "skipped_activity"


class Column(TypedDict):
    what: str
    dataset: str
    network: str
    T: int
    batch: int


class Panel(TypedDict):
    spikes: list[float]  # of every time step
    kept: list[int]  # time steps that are not skipped
    steps: float  # skipped, per cent
    activity: float  # in them, per cent


class Row(TypedDict):
    title: str
    panels: list[Panel | None]


class Data(Plotted):
    algorithm: str
    columns: list[Column]
    rows: list[Row]


def data(paper: Paper) -> Data | None:
    """One column per network, data set, T and batch; one row per setting of the algorithm."""
    found = paper.counted("skipped_activity")
    if not found:
        return None
    columns = sorted({on_batch(r) for r in found})
    alike = shared(found)
    rows = sorted({options(r, alike) for r in found}, key=natural)
    by_place = {(options(r, alike), on_batch(r)): _panel(r) for r in found}
    networks = ", ".join(dict.fromkeys(network for _, network, *_ in columns))
    return {
        "title": "What is skipped",
        "subtitle": (
            f"Spikes of all neurons in each time step of one real batch; {networks} at initialisation"
            f"{''.join(f', {name} = {value}' for name, value in alike.items())}. Full colour: steps that are recomputed "
            "and back-propagated; pale: skipped."
        ),
        "origin": origin(paper, found, "each panel is one batch"),
        "algorithm": found[0].case["algorithm"],
        "columns": [
            {"what": f"{images(dataset)}, T = {T}, batch {batch}", "dataset": dataset, "network": network, "T": T, "batch": batch}
            for dataset, network, T, batch in columns
        ],
        "rows": [{"title": row, "panels": [by_place.get((row, column)) for column in columns]} for row in rows],
    }


def render(data: Data) -> str:
    with style.canvas():
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        columns, rows = data["columns"], data["rows"]
        figure = style.sheet(data, 1.35 * len(rows) + 0.3)
        grid = figure.subplots(len(rows), len(columns), squeeze=False, sharex="col", sharey="col")
        colour, described = style.algorithm(data["algorithm"]).colour.light, []
        for row, of_row in zip(rows, grid, strict=True):
            for column, axes, panel in zip(columns, of_row, row["panels"], strict=True):
                style.plain(axes, grid="y")
                if row is rows[0]:
                    style.heading(axes, column["what"])
                if column is columns[0]:
                    axes.set_ylabel(f"{row['title']}\nspikes")
                axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y / 1000:g} k" if y else "0"))
                axes.yaxis.set_major_locator(MaxNLocator(4))
                if panel is None:
                    axes.set_axis_off()
                    continue
                steps = range(1, len(panel["spikes"]) + 1)
                kept = {t + 1 for t in panel["kept"]}
                for some, alpha in (([t for t in steps if t in kept], 1.0), ([t for t in steps if t not in kept], 0.28)):
                    axes.bar(some, [panel["spikes"][t - 1] for t in some], 0.82, color=colour, alpha=alpha, lw=0)
                axes.set_xlim(0.4, len(panel["spikes"]) + 0.6)
                axes.set_ylim(0, 1.32 * max(panel["spikes"]))
                axes.text(
                    0.99, 0.97, f"skipped: {panel['steps']:.0f} % of the steps, {panel['activity']:.1f} % of the spikes",
                    transform=axes.transAxes, size=7.5, color=style.INK.light, ha="right", va="top",
                    bbox={"facecolor": style.PAPER.light, "edgecolor": "none", "pad": 1.0},
                )  # fmt: skip
                described.append(
                    f"{column['what']}, {row['title']}: {panel['steps']:.0f} % of the steps, {panel['activity']:.1f} %"
                )
        for axes in grid[-1]:
            axes.set_xlabel("time step")
        return style.svg(
            figure,
            data["title"],
            "Bars of spikes by time step. Skipped steps and share of activity: " + "; ".join(described) + ".",
        )


def _panel(record: Record) -> Panel:
    spikes, kept = readers.numbers(record.detail["spikes"], "spikes"), readers.wholes(record.detail["kept"], "kept")
    return {"spikes": spikes, "kept": kept, "steps": 100 * (1 - len(kept) / len(spikes)), "activity": record.number}
