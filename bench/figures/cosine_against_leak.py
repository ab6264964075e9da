"""How much of the gradient is left without the paths through time, against the leak of the membrane potential."""

from __future__ import annotations

import re
from typing import TypedDict

from bench.figures import style
from bench.figures.paper import Paper, Plotted, most, options, origin
from bench.figures.words import images
from bench.record import Record

name = "cosine_against_leak"
_LEAK = re.compile(r"(.+)-(\d[\d.]*)/(.+)")  # networks that differ in their leak alone carry it at the end of their name


class Line(TypedDict):
    algorithm: str
    title: str
    points: list[tuple[float, list[float]]]  # leak, cosine of each seed


class Data(Plotted):
    network: str
    dataset: str
    T: int
    batch: int
    lines: list[Line]


def data(paper: Paper) -> Data | None:
    """The networks of one kind that were measured at most leaks, at initial weights: lines are algorithms, points are seeds."""
    everywhere = [r for r in paper.counted("gradient_cosine") if _leak(r) and "after_batches" not in r.case["options"]]
    setting = most(everywhere, _setting, lambda r: (r.case["network"], r.case["algorithm"]))
    here = [r for r in everywhere if _setting(r) == setting and r.case["algorithm"] != "bptt"]
    series: dict[str, dict[float, list[float]]] = {}
    for record in sorted(here, key=lambda r: (style.algorithm_order(r.case["algorithm"]), _leak(r), r.case["seed"])):
        series.setdefault(record.case["algorithm"], {}).setdefault(float(_leak(record)), []).append(record.number)
    lines = {algorithm: by_leak for algorithm, by_leak in series.items() if len(by_leak) > 1}
    if setting is None or not lines:
        return None
    kind, dataset, T, batch, _ = setting
    seeds = len({r.case["seed"] for r in here})
    return {
        "title": "Gradient fidelity against the leak",
        "subtitle": (
            f"Cosine to exact BPTT's gradient at initial weights: {kind}, T = {T}, {images(dataset)}, batch {batch}. The "
            "networks differ in the leak λ alone, by which a membrane potential is multiplied at every step. "
            f"Points: {seeds} seeds; lines: their mean."
        ),
        "origin": origin(paper, here, "each point is one seed"),
        "network": kind,
        "dataset": dataset,
        "T": T,
        "batch": batch,
        "lines": [
            {"algorithm": algorithm, "title": style.algorithm(algorithm).title, "points": list(by_leak.items())}
            for algorithm, by_leak in lines.items()
        ],
    }


def render(data: Data) -> str:
    with style.canvas():
        figure = style.sheet(data, 2.8)
        axes = figure.subplots()
        style.plain(axes)
        axes.axhline(1, color=style.algorithm("bptt").colour.light, lw=1.2)
        axes.annotate(
            "BPTT (exact)", (0, 1), (2, 3), textcoords="offset points", size=7.5, color=style.algorithm("bptt").colour.light
        )
        ends, said = [], []
        for line in data["lines"]:
            look = style.algorithm(line["algorithm"])
            means = [(x, sum(ys) / len(ys)) for x, ys in line["points"]]
            axes.plot(*zip(*means, strict=True), color=look.colour.light, lw=look.width)
            for x, ys in line["points"]:
                axes.plot([x] * len(ys), ys, "o", ms=4, color=look.colour.light, mec=style.PAPER.light, mew=0.6)
            ends.append((means[-1][1], line["title"], look.colour))
            said.append(f"{line['title']}: " + ", ".join(f"{y:.3f} at {x:g}" for x, y in means))
        leaks = sorted({x for line in data["lines"] for x, _ in line["points"]})
        lowest = min(y for line in data["lines"] for _, ys in line["points"] for y in ys)
        span = max(1 - lowest, 0.02)
        axes.set_ylim(lowest - 0.08 * span, 1 + 0.12 * span)
        axes.set_xlim(0, leaks[-1] * 1.02)
        axes.set_xticks(leaks, [f"{leak:g}" for leak in leaks])
        axes.set_xlabel("leak λ")
        axes.set_ylabel("cosine to BPTT's gradient")
        style.end_labels(axes, ends, 0.075)
        return style.svg(figure, data["title"], "Lines over the leak. " + "; ".join(said) + ".")


def _leak(record: Record) -> str:
    """The leak in a network's name, or nothing."""
    found = _LEAK.fullmatch(record.case["network"])
    return found[2] if found else ""


def _setting(record: Record) -> tuple[str, str, int, int, str]:
    found = _LEAK.fullmatch(record.case["network"])
    case = record.case
    return (found[1] if found else "", case["dataset"], case["T"], case["batch"], options(record))
