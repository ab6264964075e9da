"""How close an algorithm's gradient stays to BPTT's along a training by BPTT, layer by layer."""

from __future__ import annotations

import re
from typing import TypedDict

from bench.figures import style
from bench.figures.paper import Paper, Plotted, most, natural, origin
from bench.figures.words import images
from bench.record import Record

name = "cosine_along_training"
_MOMENT = re.compile(r"gradient_cosine after (\d+)")
_LAST = 3  # layers of a network that are shown; the first is always among them


class Point(TypedDict):
    batches: int  # of training
    cosines: list[float]  # of each seed


class Line(TypedDict):
    algorithm: str
    title: str
    points: list[Point]


class Panel(TypedDict):
    title: str
    layer: str
    lines: list[Line]


class Data(Plotted):
    T: int
    batch: int
    rows: list[list[Panel]]  # one for each network and data set, one panel for each layer


def data(paper: Paper) -> Data | None:
    """At the T and batch of most cases; seeds that have manifolds of their own count as seeds of one data set."""
    everywhere = [r for r in paper.records if r.status == "ok" and _MOMENT.fullmatch(r.metric)]
    everywhere = sorted(
        {(r.key, r.metric): r for r in sorted(everywhere, key=lambda r: (r.when, r.machine))}.values(), key=_order
    )
    setting = most(everywhere, _setting, lambda r: (r.key, r.metric))
    here = [r for r in everywhere if _setting(r) == setting]
    places = list(dict.fromkeys((r.case["network"], _definition(r)) for r in here))
    rows = [panels for place in places if (panels := _panels(place, here))]
    if setting is None or not rows:
        return None
    T, batch, _ = setting
    return {
        "title": "Gradient fidelity along a training by BPTT",
        "subtitle": (
            f"Cosine of each weight's gradient to exact BPTT's at BPTT's weights, T = {T}, batch {batch}, against the batches "
            "that BPTT has trained on. Lines: mean over seeds; points: seeds. A silent layer has no gradient: its cosine has no "
            "value, and no point."
        ),
        "origin": origin(paper, here, "each point is one seed"),
        "T": T,
        "batch": batch,
        "rows": rows,
    }


def _panels(place: tuple[str, str], here: list[Record]) -> list[Panel]:
    of_place = [r for r in here if (r.case["network"], _definition(r)) == place]
    layers = sorted({layer for r in of_place for layer in r.detail if layer.endswith("weight")}, key=natural)
    shown = layers if len(layers) <= _LAST else [layers[0], layers[1], layers[-1]]
    panels: list[Panel] = []
    for layer in shown:
        series: dict[str, dict[int, list[float]]] = {}
        for record in of_place:
            value = record.detail.get(layer)
            if isinstance(value, int | float):
                series.setdefault(record.case["algorithm"], {}).setdefault(_moment(record), []).append(float(value))
        lines: list[Line] = [
            {"algorithm": algorithm, "title": style.algorithm(algorithm).title, "points": _points(by)}
            for algorithm, by in series.items()
        ]
        at = layers.index(layer) + 1
        panels.append({"title": f"{place[0]}, {images(place[1])}: layer {at} of {len(layers)}", "layer": layer, "lines": lines})
    return panels if any(len(line["points"]) > 1 for panel in panels for line in panel["lines"]) else []


def _points(by_moment: dict[int, list[float]]) -> list[Point]:
    return [{"batches": moment, "cosines": cosines} for moment, cosines in sorted(by_moment.items())]


def render(data: Data) -> str:
    with style.canvas():
        columns = max(map(len, data["rows"]))
        figure = style.sheet(data, 1.9 * len(data["rows"]) + 0.3)
        grid = figure.subplots(len(data["rows"]), columns, squeeze=False, sharey="row")
        said, looks = [], {}
        for row, panels in zip(grid, data["rows"], strict=True):
            for axes in row[len(panels) :]:
                axes.set_visible(False)
            for axes, panel in zip(row, panels, strict=False):
                style.plain(axes)
                axes.axhline(1, color=style.algorithm("bptt").colour.light, lw=1.2)
                for line in panel["lines"]:
                    look = looks[line["algorithm"]] = style.algorithm(line["algorithm"])
                    points = [(point["batches"], point["cosines"]) for point in line["points"]]
                    means = [(x, sum(ys) / len(ys)) for x, ys in points]
                    axes.plot(*zip(*means, strict=True), color=look.colour.light, lw=look.width)
                    for x, ys in points:
                        axes.plot([x] * len(ys), ys, "o", ms=2.5, color=look.colour.light, mec=style.PAPER.light, mew=0.4)
                    said.append(f"{panel['title']}, {line['title']}: " + ", ".join(f"{y:.2f} after {x}" for x, y in means))
                axes.set_title(panel["title"].rpartition(": ")[2], size=7.5, color=style.INK.light, loc="left")
                axes.set_xlabel("batches of training")
            row[0].set_ylabel(panels[0]["title"].rpartition(": ")[0].replace(", ", ",\n"), size=7)
        grid[0][len(data["rows"][0]) - 1].legend(  # of the last layer, whose lines are close to 1
            handles=[_handle(look) for _, look in sorted(looks.items(), key=lambda item: style.algorithm_order(item[0]))],
            loc="lower right", frameon=False, fontsize=7.5, labelcolor=style.INK.light,
        )  # fmt: skip
        return style.svg(figure, data["title"], "Lines over the training. " + "; ".join(said) + ".")


def _handle(look: style.Look) -> object:
    from matplotlib.lines import Line2D

    return Line2D([], [], color=look.colour.light, lw=look.width, label=look.title)


def _moment(record: Record) -> int:
    found = _MOMENT.fullmatch(record.metric)
    assert found is not None, "others were left out"
    return int(found[1])


def _definition(record: Record) -> str:
    """The data set, without the seed of its manifolds."""
    dataset = record.case["dataset"]
    return re.sub(r"-\d+$", "", dataset) if dataset.startswith("randman-") else dataset


def _setting(record: Record) -> tuple[int, int, int]:
    return (record.case["T"], record.case["batch"], record.case["options"].get("after_batches", 0))  # type: ignore[return-value]


def _order(record: Record) -> tuple[object, ...]:
    case = record.case
    return (
        case["network"],
        case["dataset"],
        style.algorithm_order(case["algorithm"]),
        case["seed"],
        _moment(record),
        record.machine,
    )
