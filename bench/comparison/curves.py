"""Training curves of a comparison: the loss of every step, and the test accuracy after every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, TypedDict

from bench.comparison.drawn import Drawn, looks, origin, subtitle
from bench.comparison.summary import Row
from bench.figures import style
from bench.figures.paper import Plotted
from bench.registry import Colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

name = "curves"


class Curve(TypedDict):
    """Mean over the seeds, least and greatest, by step or epoch."""

    mean: list[float]
    low: list[float]
    high: list[float]


class Line(TypedDict):
    title: str
    algorithm: str
    seeds: int
    loss: Curve  # by step
    accuracy: Curve  # by step, of the batch
    test: Curve  # by epoch


class Data(Plotted):
    lines: list[Line]


def data(title: str, rows: Sequence[Row]) -> Data:
    """Return what is plotted, from results alone."""
    return {
        "title": f"Training curves: {title}",
        "subtitle": subtitle(rows),
        "origin": origin(rows),
        "lines": [*map(_line, rows)],
    }


def render(data: Data, rows: Sequence[Row]) -> str:
    """Return the SVG."""
    with style.canvas():
        figure = style.sheet(data, 3.1)
        left, right = figure.subplots(1, 2)
        _losses(left, data["lines"], looks(rows))
        ends = _accuracies(right, data["lines"], looks(rows))
        described = ", ".join(text for _, text, _ in ends)
        return style.svg(figure, data["title"], f"Test accuracy after the last epoch: {described}.")


def _losses(axes: Axes, lines: Sequence[Line], drawn: Sequence[Drawn]) -> None:
    style.plain(axes, grid="y")
    style.heading(axes, "training loss")
    for line, look in zip(lines, drawn, strict=True):
        steps = [*range(1, len(line["loss"]["mean"]) + 1)]
        axes.fill_between(steps, line["loss"]["low"], line["loss"]["high"], color=look.colour.light, alpha=0.12, lw=0)
        axes.plot(steps, line["loss"]["mean"], color=look.colour.light, lw=1.3, ls=look.dash)
    axes.set_xlabel("training step")
    axes.set_ylabel("loss of the batch")


def _accuracies(axes: Axes, lines: Sequence[Line], drawn: Sequence[Drawn]) -> list[tuple[float, str, Colour]]:
    from matplotlib.ticker import MaxNLocator

    style.plain(axes, grid="y")
    style.heading(axes, "test accuracy")
    ends = []
    last = max(len(line["test"]["mean"]) for line in lines)
    for line, look in zip(lines, drawn, strict=True):
        epochs = [*range(1, len(line["test"]["mean"]) + 1)]
        axes.fill_between(epochs, line["test"]["low"], line["test"]["high"], color=look.colour.light, alpha=0.12, lw=0)
        axes.plot(
            epochs, line["test"]["mean"], color=look.colour.light, lw=1.8, ls=look.dash, marker="o", ms=4,
            mec=style.PAPER.light,
        )  # fmt: skip
        end = line["test"]["mean"][-1]
        ends.append((end, f"{line['title']}: {end:.1f} %", look.colour))
    axes.set_xlim(0.9, last + 0.1)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.set_ylabel("test accuracy (%)")
    axes.set_ylim(*axes.get_ylim())
    style.end_labels(axes, ends, 0.07)
    return ends


def _line(row: Row) -> Line:
    runs = [line.run for line in row.lines]
    return {
        "title": row.title,
        "algorithm": row.algorithm,
        "seeds": len(runs),
        "loss": _curve([run.losses for run in runs]),
        "accuracy": _curve([run.accuracies for run in runs]),
        "test": _curve([run.tests for run in runs]),
    }


def _curve(runs: Sequence[Sequence[float]]) -> Curve:
    points = [*zip(*runs, strict=True)]
    return {
        "mean": [round(fmean(point), 6) for point in points],
        "low": [min(point) for point in points],
        "high": [max(point) for point in points],
    }
