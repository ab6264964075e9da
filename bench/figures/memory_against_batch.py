"""Peak memory of a training step against the batch size."""

from __future__ import annotations

from collections import Counter
from typing import TypedDict

from bench.figures import style
from bench.figures.paper import Paper, Plotted, most, origin
from bench.figures.words import by_algorithm, title
from bench.quantity import byte_unit, size
from bench.record import Record

name = "memory_against_batch"
_SIZES = (0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)


class Line(TypedDict):
    algorithm: str
    title: str
    points: list[list[float]]  # batch, bytes


class Data(Plotted):
    network: str
    T: int
    backend: str
    lines: list[Line]


def data(paper: Paper) -> Data | None:
    """The network, T and backend measured at most batch sizes; only series of two sizes or more."""
    everywhere = paper.counted("peak_live_bytes")
    setting = most(everywhere, _setting, lambda r: r.case["batch"])
    series: dict[str, list[Record]] = {}
    for record in sorted((r for r in everywhere if _setting(r) == setting), key=by_algorithm):
        series.setdefault(title(record), []).append(record)
    series = {words: records for words, records in series.items() if len(records) > 1}
    if setting is None or not series:
        return None
    network, T, backend = setting
    return {
        "title": "Training memory against batch size",
        "subtitle": (
            f"Peak bytes of live tensors in one training step: {network}, T = {T}, {style.backend(backend).title}, counted at "
            "every point. Where a line is flat, weights, gradients and optimizer state fill the memory."
        ),
        "origin": origin(paper, [r for records in series.values() for r in records], "each point is one counted step"),
        "network": network,
        "T": T,
        "backend": backend,
        "lines": [
            {
                "algorithm": records[0].case["algorithm"],
                "title": words,
                "points": sorted([r.case["batch"], r.number] for r in records),
            }
            for words, records in series.items()
        ],
    }


def render(data: Data) -> str:
    with style.canvas():
        figure = style.sheet(data, 2.8)
        axes = figure.subplots()
        style.plain(axes)
        sizes = sorted({batch for line in data["lines"] for batch, _ in line["points"]})
        heights = [y for line in data["lines"] for _, y in line["points"]]
        name_of_unit, unit = byte_unit(max(heights))
        style.logarithmic(axes, "x", sizes[0] * 0.9, sizes[-1] * 1.05, sizes)
        style.logarithmic(axes, "y", min(heights) / unit * 0.8, max(heights) / unit * 1.25, _SIZES)
        axes.set_xlabel("batch size")
        axes.set_ylabel(f"peak, {name_of_unit}")
        ends, described = [], []
        seen: Counter[str] = Counter()
        for line in data["lines"]:
            look, dash = style.algorithm(line["algorithm"]), style.variant(seen[line["algorithm"]])
            seen[line["algorithm"]] += 1
            xs, ys = zip(*line["points"], strict=True)
            axes.plot(xs, [y / unit for y in ys], color=look.colour.light, lw=look.width, ls=dash)
            ends.append((ys[-1] / unit, line["title"], look.colour))
            described.append(f"{line['title']}: {size(ys[0])} at batch {xs[0]}, {size(ys[-1])} at batch {xs[-1]}")
        style.end_labels(axes, ends, 0.075)
        return style.svg(figure, data["title"], "Lines on logarithmic axes. " + "; ".join(described) + ".")


def _setting(record: Record) -> tuple[str, int, str]:
    return (record.case["network"], record.case["T"], record.case["backend"])
