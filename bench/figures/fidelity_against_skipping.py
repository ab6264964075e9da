"""How the gradient's fidelity depends on the share of steps skipped, the number of segments, and choices left open.

Read from algorithms with options ``p`` (per cent of the steps skipped) and ``segments``; an option beside these is a choice.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, TypedDict

from bench import readers
from bench.figures import style
from bench.figures.paper import Batch, Paper, Plotted, exact, on_batch, origin
from bench.figures.words import by_algorithm, images, title
from bench.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

name = "fidelity_against_skipping"
_PANELS = 2
_MARKERS = ("o", "s", "D", "^", "v", "P")
_GRID = {"p", "segments"}


class Line(TypedDict):
    segments: int
    points: list[list[float]]  # share of the steps skipped, cosine


class Other(TypedDict):
    algorithm: str
    title: str
    cosine: float


class Choice(TypedDict):
    title: str
    cosine: float


class Panel(TypedDict):
    what: str
    dataset: str
    network: str
    T: int
    batch: int
    algorithm: str
    lines: list[Line]
    others: list[Other]
    choices: list[Choice]


class Data(Plotted):
    panels: list[Panel]


def data(paper: Paper) -> Data | None:
    """One panel per network and data set with at least two shares; below it the choices, at the setting where most were tried."""
    by_setting: dict[Batch, list[Record]] = {}
    for record in sorted(paper.gradients(), key=by_algorithm):
        by_setting.setdefault(on_batch(record), []).append(record)
    panels = [panel for setting, records in sorted(by_setting.items()) if (panel := _panel(setting, records))][:_PANELS]
    if not panels:
        return None
    shown = {(panel["dataset"], panel["network"], panel["T"], panel["batch"]) for panel in panels}
    networks = ", ".join(dict.fromkeys(panel["network"] for panel in panels))
    used = [r for setting, records in by_setting.items() if setting in shown for r in records]
    return {
        "title": "Gradient fidelity against skipping",
        "subtitle": (
            f"Cosine to exact BPTT's gradient on one real batch, on an axis even in the angle; {networks} at initialisation. "
            "Above: by the share p of steps skipped and the number C of segments; thin lines: algorithms that skip none. "
            "Below: the same with one choice made otherwise."
        ),
        "origin": origin(paper, used, "each point is one batch"),
        "panels": panels,
    }


def render(data: Data) -> str:
    with style.canvas():
        panels = data["panels"]
        choices = max(len(panel["choices"]) for panel in panels)
        heights = [2.6, 0.55 + 0.17 * choices] if choices else [2.6]
        figure = style.sheet(data, sum(heights) + 0.3)
        grid = figure.subplots(len(heights), len(panels), squeeze=False, height_ratios=heights)
        everywhere = [c for panel in panels for c in _cosines(panel)]
        segments = sorted({line["segments"] for panel in panels for line in panel["lines"]})
        for axes, panel in zip(grid[0], panels, strict=True):
            _lines(axes, panel, segments, min(everywhere))
        grid[0, 0].set_ylabel("cosine to BPTT's gradient")
        if choices:
            tried = [c["cosine"] for panel in panels for c in panel["choices"]]
            for axes, panel in zip(grid[1], panels, strict=True):
                _choices(axes, panel, (min(tried), max(tried)), names=axes is grid[1, 0])
        return style.svg(figure, data["title"], _description(panels))


def _panel(setting: Batch, records: list[Record]) -> Panel | None:
    skipping = [r for r in records if r.case["options"].keys() >= _GRID]
    plain = [r for r in skipping if r.case["options"].keys() == _GRID]
    if len({_place(r)[0] for r in plain}) < 2:
        return None
    lines: dict[int, list[list[float]]] = {}
    for r in plain:
        share, segments = _place(r)
        lines.setdefault(segments, []).append([share, r.number])
    dataset, network, T, batch = setting
    return {
        "what": f"{images(dataset)}, T = {T}, batch {batch}",
        "dataset": dataset,
        "network": network,
        "T": T,
        "batch": batch,
        "algorithm": plain[0].case["algorithm"],
        "lines": [{"segments": C, "points": sorted(points)} for C, points in sorted(lines.items())],
        "others": [
            {"algorithm": r.case["algorithm"], "title": title(r), "cosine": r.number}
            for r in records
            if r not in skipping and not exact(r.number)
        ],
        "choices": _tried(plain, [r for r in skipping if r not in plain]),
    }


def _tried(plain: list[Record], others: list[Record]) -> list[Choice]:
    """The choices at the setting with most of them, after the default there."""
    at = [_place(r) for r in others]
    if not at:
        return []
    p, C = place = max(sorted(set(at)), key=at.count)
    default: list[Choice] = [{"title": f"default, p = {p}, C = {C}", "cosine": r.number} for r in plain if _place(r) == place]
    made: list[Choice] = [
        {"title": ", ".join(f"{k} = {v}" for k, v in sorted(r.case["options"].items()) if k not in _GRID), "cosine": r.number}
        for r in others
        if _place(r) == place
    ]
    return [*default, *made] if default else []


def _lines(axes: Axes, panel: Panel, segments: list[int], lowest: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter

    style.plain(axes)
    style.heading(axes, panel["what"], above=16)
    colour = style.algorithm(panel["algorithm"]).colour
    for line in panel["lines"]:
        nth = segments.index(line["segments"])
        axes.plot(
            [p for p, _ in line["points"]], [_angle(c) for _, c in line["points"]], marker=_MARKERS[nth % len(_MARKERS)],
            ls=style.variant(nth), color=colour.light, lw=1.4, ms=4.5, mew=0, label=f"C = {line['segments']}",
        )  # fmt: skip
    for other in panel["others"]:
        look = style.algorithm(other["algorithm"])
        axes.axhline(_angle(other["cosine"]), color=look.colour.light, lw=0.9)
        axes.annotate(
            f"{other['title']} {other['cosine']:.2f}", (0.015, _angle(other["cosine"])), (0, 2), textcoords="offset points",
            xycoords=axes.get_yaxis_transform(), size=7.5, color=look.colour.light,
        )  # fmt: skip
    shares = sorted({p for line in panel["lines"] for p, _ in line["points"]})
    axes.set_xlim(0, shares[-1] * 1.06)
    axes.set_ylim(_angle(lowest) + 4, -2)
    axes.xaxis.set_major_locator(FixedLocator(shares))
    axes.yaxis.set_major_locator(FixedLocator([_angle(c) for c in (1, 0.99, 0.95, 0.9, 0.8, 0.7, 0.5, 0.3, 0, -0.5, -1)]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda angle, _: f"{math.cos(math.radians(angle)):.2f}"))
    axes.set_xlabel("p, % of the steps skipped")
    legend = axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.1, ncols=4, frameon=False, fontsize=7.5, handlelength=2.4,
        handletextpad=0.4, columnspacing=0.9,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_color(colour.light)


def _choices(axes: Axes, panel: Panel, span: tuple[float, float], *, names: bool) -> None:
    style.plain(axes, grid="x")
    choices, colour = panel["choices"], style.algorithm(panel["algorithm"]).colour.light
    room = 0.08 * (span[1] - span[0] or 0.1)
    axes.set_xlim(span[0] - room, span[1] + 3 * room)
    axes.set_ylim(len(choices) - 0.4, -0.6)
    axes.set_yticks(range(len(choices)), [choice["title"] for choice in choices])
    axes.tick_params(axis="y", length=0, labelleft=names)
    axes.set_xlabel("cosine to BPTT's gradient")
    if choices:
        axes.axvline(choices[0]["cosine"], color=style.MUTED.light, lw=0.8, ls=(0, (2, 2)))
    for y, choice in enumerate(choices):
        axes.plot([choice["cosine"]], [y], "o", ms=5.5, mew=1.4, mec=colour, mfc=style.PAPER.light if y else colour)
        axes.annotate(
            f"{choice['cosine']:.3f}", (choice["cosine"], y), (6, 0), textcoords="offset points", size=7.5, color=style.INK.light,
            va="center_baseline",
        )  # fmt: skip


def _angle(cosine: float) -> float:
    """Degrees between two gradients."""
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))


def _cosines(panel: Panel) -> list[float]:
    return [c for line in panel["lines"] for _, c in line["points"]] + [other["cosine"] for other in panel["others"]]


def _place(record: Record) -> tuple[float, int]:
    """Share of the steps skipped, and number of segments."""
    options = record.case["options"]
    return readers.number(options["p"], "p"), readers.whole(options["segments"], "segments")


def _description(panels: list[Panel]) -> str:
    described = []
    for panel in panels:
        lines = [
            f"C = {line['segments']}: " + ", ".join(f"{c:.3f} at p = {p}" for p, c in line["points"]) for line in panel["lines"]
        ]
        others = [f"{other['title']}: {other['cosine']:.3f}" for other in panel["others"]]
        others += [f"{choice['title']}: {choice['cosine']:.3f}" for choice in panel["choices"]]
        described.append(f"{panel['what']}: " + "; ".join([*lines, *others]))
    return "Cosine of the gradient. " + ". ".join(described) + "."
