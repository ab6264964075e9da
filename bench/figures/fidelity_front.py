"""Memory, multiply-accumulates and gradient fidelity together, and their Pareto front."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from bench.figures import style
from bench.figures.paper import Batch, Paper, Plotted, exact, on_batch, origin
from bench.figures.words import by_algorithm, images, title
from bench.record import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes

name = "fidelity_front"
_PANELS = 2
Key = tuple[str, int, int, str, str, tuple[tuple[str, str], ...]]  # of a training step


class Point(TypedDict):
    algorithm: str
    backend: str
    title: str
    memory: float
    macs: float
    cosine: float
    exact: bool


class Ranked(Point):
    beaten: bool


class Panel(TypedDict):
    what: str
    dataset: str
    network: str
    T: int
    batch: int
    points: list[Ranked]


class Data(Plotted):
    panels: list[Panel]


@dataclass(frozen=True)
class _Step:
    """What was measured of one training step, and of BPTT's."""

    gradient: Record
    peak: Record
    macs: Record
    peak_of_bptt: Record
    macs_of_bptt: Record

    @property
    def records(self) -> tuple[Record, ...]:
        return (self.gradient, self.peak, self.macs, self.peak_of_bptt, self.macs_of_bptt)


def data(paper: Paper) -> Data | None:
    """Algorithms whose gradient and cost are known at the same network, T and batch, against native BPTT there.

    One panel per setting that has at least three; the two settings with most.
    """
    peaks, macs = ({_key(r): r for r in paper.counted(metric)} for metric in ("peak_live_bytes", "step_macs"))
    found: dict[Batch, list[_Step]] = {}
    for g in sorted(paper.usual(paper.gradients()), key=by_algorithm):
        mine, reference = _key(g), _key_of_bptt(g)
        if all(case in table for case in (mine, reference) for table in (peaks, macs)):
            step = _Step(g, peaks[mine], macs[mine], peaks[reference], macs[reference])
            found.setdefault(on_batch(g), []).append(step)
    rich = sorted((s for s in found if len(found[s]) > 2), key=lambda s: (-len(found[s]), s))[:_PANELS]
    if not rich:
        return None
    used = {id(r): r for setting in rich for step in found[setting] for r in step.records}
    return {
        "title": "Memory, computation and gradient fidelity",
        "subtitle": (
            "Peak live bytes and multiply-accumulates of a training step over native BPTT's, and the gradient's cosine to BPTT's "
            "on a real batch at initialisation. Filled: exact. Hollow: an approximation, its cosine beside the name. "
            "Small: another needs no more of either and is no less exact. Grey line: the exact ones that none of these beats."
        ),
        "origin": origin(paper, list(used.values()), "each point is one batch and one counted step"),
        "panels": [_panel(setting, found[setting]) for setting in rich],
    }


def render(data: Data) -> str:
    with style.canvas():
        panels = data["panels"]
        figure = style.sheet(data, 2.5 * len(panels))
        grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True)
        for axes, panel in zip(grid.flat, panels, strict=True):
            _draw(axes, panel)
        grid[-1, 0].set_xlabel("peak live bytes / native BPTT's")
        return style.svg(figure, data["title"], _description(panels))


def _draw(axes: Axes, panel: Panel) -> None:
    style.plain(axes)
    style.heading(axes, panel["what"])
    points = panel["points"]
    xs, ys = [p["memory"] for p in points], [p["macs"] for p in points]
    room = 0.14 * (max(ys) - min(ys) or 1)
    axes.set_xlim(0, max(xs) * 1.04)
    axes.set_ylim(min(ys) - room, max(ys) + room)
    axes.tick_params(labelbottom=True)
    axes.set_ylabel("MACs / BPTT's")
    front = sorted((p["memory"], p["macs"]) for p in points if p["exact"] and not p["beaten"])
    axes.plot([x for x, _ in front], [y for _, y in front], color=style.MUTED.light, lw=1.2, alpha=0.7, zorder=1)
    ends = []
    for p in points:
        colour = style.algorithm(p["algorithm"]).colour
        axes.plot([p["memory"], axes.get_xlim()[1]], [p["macs"]] * 2, lw=0.6, ls=(0, (1, 2)), color=colour.light, zorder=1)
        axes.plot(
            [p["memory"]], [p["macs"]], style.backend(p["backend"]).marker, ms=4.5 if p["beaten"] else 9, mew=1.6,
            zorder=4 if p["beaten"] else 3, mfc=colour.light if p["exact"] else style.PAPER.light, mec=colour.light,
        )  # fmt: skip
        ends.append((p["macs"], f"{p['title']}: {_words(p)}", colour))
    style.end_labels(axes, ends, 0.095)


def _panel(setting: Batch, found: list[_Step]) -> Panel:
    dataset, network, T, batch = setting
    points = [_point("bptt", "native", "BPTT", 1.0, 1.0, 1.0)]
    for step in found:
        g = step.gradient
        if (g.case["algorithm"], g.case["backend"]) != ("bptt", "native"):
            memory = step.peak.number / step.peak_of_bptt.number
            macs = step.macs.number / step.macs_of_bptt.number
            points.append(_point(g.case["algorithm"], g.case["backend"], title(g), memory, macs, float(g.number)))
    return {
        "what": f"{network}, T = {T}, batch {batch} of {images(dataset)}",
        "dataset": dataset,
        "network": network,
        "T": T,
        "batch": batch,
        "points": [{**p, "beaten": any(_beats(q, p) for q in points)} for p in points],
    }


def _point(algorithm: str, backend: str, words: str, memory: float, macs: float, cosine: float) -> Point:
    return {
        "algorithm": algorithm, "backend": backend, "title": words,
        "memory": memory, "macs": macs, "cosine": cosine, "exact": exact(cosine),
    }  # fmt: skip


def _beats(a: Point, b: Point) -> bool:
    """Whether ``a`` is at least as good as ``b`` in memory, MACs and fidelity, and better in one."""
    pairs = [(a["memory"], b["memory"]), (a["macs"], b["macs"]), (_angle(a), _angle(b))]
    return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)


def _angle(point: Point) -> float:
    """1 - cosine, where rounding does not count."""
    return 0.0 if point["exact"] else 1 - float(point["cosine"])


def _words(point: Point) -> str:
    return "exact" if point["exact"] else f"{point['cosine']:.2f}"


def _key(record: Record) -> Key:
    case = record.case
    options = tuple(sorted((name, str(value)) for name, value in case["options"].items()))
    return (case["network"], case["T"], case["batch"], case["algorithm"], case["backend"], options)


def _key_of_bptt(record: Record) -> Key:
    """Of native BPTT at the same network, T and batch."""
    return (record.case["network"], record.case["T"], record.case["batch"], "bptt", "native", ())


def _description(panels: list[Panel]) -> str:
    described = []
    for panel in panels:
        of = "; ".join(
            f"{p['title']}: {p['memory']:.2f} of the memory, {p['macs']:.2f} of the MACs, {_words(p)}"
            + (", beaten in all three" if p["beaten"] else "")
            for p in panel["points"]
        )
        described.append(f"{panel['what']}: {of}")
    return "Share of BPTT's memory and MACs, and cosine of the gradient. " + ". ".join(described) + "."
