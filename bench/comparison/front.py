"""Accuracy against memory: what each algorithm of a comparison gives, and what a training step of it takes."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import TypedDict

from bench.comparison.drawn import looks, origin, subtitle
from bench.comparison.summary import Row
from bench.figures import style
from bench.figures.paper import Plotted

name = "front"
_MIB = 2**20


class Point(TypedDict):
    title: str
    algorithm: str
    seeds: int
    peak: int  # bytes
    macs: int
    accuracy: float  # mean over the seeds, %
    low: float | None  # of its 95 % interval; None: one seed has none
    high: float | None


class Data(Plotted):
    points: list[Point]


def data(title: str, rows: Sequence[Row]) -> Data:
    """Return what is plotted, from results alone."""
    words = subtitle(rows).split("; lines")[0] + "; bars: 95 % intervals over seeds and the test samples."
    return {
        "title": f"Accuracy against memory: {title}",
        "subtitle": words,
        "origin": origin(rows),
        "points": [*map(_point, rows)],
    }


def render(data: Data, rows: Sequence[Row]) -> str:
    """Return the SVG."""
    with style.canvas():
        figure = style.sheet(data, 3.0)
        axes = figure.subplots()
        style.plain(axes)
        ends = []
        for point, look in zip(data["points"], looks(rows), strict=True):
            x, y = point["peak"] / _MIB, point["accuracy"]
            low, high = (y if end is None else end for end in (point["low"], point["high"]))
            axes.errorbar(
                [x], [y], [[y - low], [high - y]], fmt="o", ms=6, color=look.colour.light, elinewidth=1.0, capsize=2.5,
                mec=style.PAPER.light,
            )  # fmt: skip
            ends.append((y, f"{point['title']}: {x:,.3g} MiB, {y:.1f} %", look.colour))
        peaks = [point["peak"] / _MIB for point in data["points"]]
        style.logarithmic(axes, "x", min(peaks) / 1.2, max(peaks) * 1.2)
        axes.set_xlabel("peak live bytes of a training step (MiB)")
        axes.set_ylabel("test accuracy (%)")
        axes.set_ylim(*axes.get_ylim())
        style.end_labels(axes, ends, 0.07)
        return style.svg(figure, data["title"], "; ".join(text for _, text, _ in ends) + ".")


def _point(row: Row) -> Point:
    low, high = (round(end, 4) if isfinite(end) else None for end in (row.accuracy.low, row.accuracy.high))
    return {
        "title": row.title,
        "algorithm": row.algorithm,
        "seeds": len(row.lines),
        "peak": row.peak,
        "macs": row.macs,
        "accuracy": round(row.accuracy.value, 4),
        "low": low,
        "high": high,
    }
