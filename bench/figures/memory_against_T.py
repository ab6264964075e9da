"""Peak memory of a training step against the number of time steps, one panel per framework."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

from bench import readers
from bench.figures import style
from bench.figures.paper import Paper, Plotted, most, origin
from bench.figures.words import title
from bench.quantity import byte_unit, size
from bench.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

name = "memory_against_T"
_STEPS = (1, 2, 3, 6, 10, 20, 30, 50, 100, 200, 400, 1000)
_SIZES = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100)
_MOST = 24  # lines: a design space of many settings has figures of its own
# Backends that belong to one framework share its panel; their lines differ in dash.
_PANELS = {"spikingjelly-multistep": "spikingjelly"}


class Line(TypedDict):
    backend: str
    panel: str
    algorithm: str
    title: str
    points: list[list[float]]  # T, bytes


class Band(TypedDict):
    label: str
    edges: list[list[float]]  # T, least and most bytes


class Data(Plotted):
    network: str
    batch: int
    lines: list[Line]
    reported: list[list[float]]  # T, bytes
    band: Band | None


def data(paper: Paper) -> Data | None:
    """The network and batch measured at most T; only series of two points or more."""
    everywhere = paper.counted("peak_live_bytes")
    setting = most(everywhere, _setting, lambda r: (r.case["T"], r.case["backend"]))
    if setting is None:
        return None
    here = [r for r in everywhere if _setting(r) == setting]
    series: dict[tuple[str, str, str], list[Record]] = {}
    for record in here:
        series.setdefault((record.case["backend"], record.case["algorithm"], title(record)), []).append(record)
    lines: list[Line] = [
        {
            "backend": backend,
            "panel": _PANELS.get(backend, backend),
            "algorithm": algorithm,
            "title": words,
            "points": sorted([r.case["T"], r.number] for r in records),
        }
        for (backend, algorithm, words), records in sorted(
            series.items(), key=lambda item: (style.backend_order(item[0][0]), style.algorithm_order(item[0][1]), item[0])
        )
        if len(records) > 1
    ]
    if not 0 < len(lines) <= _MOST:
        return None
    network, batch = setting
    context = readers.table(paper.context.get(name, {}), name)
    band = _band(lines, readers.table(context["band"], "band")) if "band" in context else None
    used = [r for records in series.values() if len(records) > 1 for r in records]
    return {
        "title": "Training memory against time steps",
        "subtitle": (
            f"Peak bytes of live tensors in one training step, {network}, batch {batch}, counted at every point."
            + (f" Hollow: {context['label']}." if "points" in context else "")
            + (f" Grey: {band['label']}." if band else "")
        ),
        "origin": origin(paper, used, "each point is one counted step"),
        "network": network,
        "batch": batch,
        "lines": lines,
        "reported": _points(context) if "points" in context else [],
        "band": band,
    }


def render(data: Data) -> str:
    with style.canvas():
        panels = list(dict.fromkeys(line["panel"] for line in data["lines"]))
        columns = min(2, len(panels))
        deep = -(-len(panels) // columns)
        figure = style.sheet(data, 2.45 * deep if len(panels) > 1 else 3.2)
        grid = figure.subplots(deep, columns, squeeze=False, sharex=True, sharey=True)
        heights = [y for line in data["lines"] for _, y in line["points"]]
        heights += [y for _, y in data["reported"]]
        heights += [y for _, *edges in data["band"]["edges"] for y in edges] if data["band"] else []
        name_of_unit, unit = byte_unit(max(heights))
        steps = [T for line in data["lines"] for T, _ in line["points"]]
        for spare in grid.flat[len(panels) :]:
            spare.set_visible(False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            style.plain(axes)
            style.heading(axes, style.backend(panel).title)
            style.logarithmic(axes, "x", min(steps) * 0.95, max(steps) * 1.05, _STEPS)
            style.logarithmic(axes, "y", min(heights) / unit * 0.8, max(heights) / unit * 1.25, _SIZES)
            if panel == "native":
                axes.plot(
                    [T for T, _ in data["reported"]], [y / unit for _, y in data["reported"]], "o", ms=4.5, mfc="none",
                    mew=0.9, color=style.MUTED.light,
                )  # fmt: skip
                if data["band"]:
                    xs, low, high = zip(*data["band"]["edges"], strict=True)
                    edges = ([y / unit for y in low], [y / unit for y in high])
                    axes.fill_between(xs, *edges, color=style.MUTED.light, alpha=0.16, lw=0)
            shown = [line for line in data["lines"] if line["panel"] == panel]
            _lines(axes, shown, data["band"] if panel == "native" else None, unit)
        for axes in grid[-1]:
            axes.set_xlabel("time steps T")
        for axes in grid[:, 0]:
            axes.set_ylabel(f"peak, {name_of_unit}")
        return style.svg(figure, data["title"], _description(data))


def _lines(axes: Axes, lines: list[Line], band: Band | None, unit: float) -> None:
    ends = []
    longest = max(line["points"][-1][0] for line in lines)
    if band:
        _, low, high = band["edges"][-1]
        ends.append(((low * high) ** 0.5 / unit, "reported range", style.MUTED))
    seen: Counter[tuple[str, str]] = Counter()
    for line in lines:
        look = style.algorithm(line["algorithm"])
        xs, ys = zip(*[(T, y / unit) for T, y in line["points"]], strict=True)
        alone = line["backend"] == line["panel"]
        nth = seen[line["backend"], line["algorithm"]]
        seen[line["backend"], line["algorithm"]] += 1
        dash = style.variant(nth) if alone else style.backend(line["backend"]).dash
        axes.plot(xs, ys, color=look.colour.light, lw=look.width, ls=dash)
        words = line["title"] if alone else f"{line['title']}, {style.backend(line['backend']).title.split(', ')[-1]}"
        ends.append((ys[-1], words if xs[-1] == longest else f"{words}, to T = {xs[-1]}", look.colour))
    style.end_labels(axes, ends, 0.085)


def _points(context: Mapping[str, object]) -> list[list[float]]:
    """Reported peaks as T and bytes."""
    unit, points = readers.number(context["bytes_per_unit"], "bytes_per_unit"), context["points"]
    return [[T, value * unit] for T, value in (readers.numbers(point, "points") for point in readers.items(points, "points"))]


def _band(lines: list[Line], reported: Mapping[str, object]) -> Band | None:
    """Where the peaks would lie that are reported as a native algorithm's divided by a least and a largest factor."""
    over = next((line for line in lines if (line["backend"], line["algorithm"]) == ("native", reported["of"])), None)
    if over is None:
        return None
    least, largest = readers.numbers(reported["divided_by"], "divided_by")
    return {"label": readers.text(reported["label"], "label"), "edges": [[T, y / largest, y / least] for T, y in over["points"]]}


def _setting(record: Record) -> tuple[str, int]:
    return (record.case["network"], record.case["batch"])


def _description(data: Data) -> str:
    described = []
    for line in data["lines"]:
        (first, low), (last, high) = line["points"][0], line["points"][-1]
        described.append(
            f"{line['title']} on {style.backend(line['backend']).title}: {size(low)} at T = {first}, {size(high)} at T = {last}"
        )
    band = f" Grey band: {data['band']['label']}." if data["band"] else ""
    return "Lines on logarithmic axes. " + "; ".join(described) + "." + band
