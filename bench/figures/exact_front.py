"""The exact front of networks of SpikingJelly's model zoo: memory of a training step against multiply-accumulates, beside
SpikingJelly's memory optimiser.

Drawn from the lines of results/zoo.jsonl, not from a paper's records.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from bench.figures import style
from bench.figures.paper import Origin, Plotted
from bench.json_object import Json
from bench.lift.zoo.front_page import DRAWN
from bench.quantity import size
from bench.registry import Colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

name = "exact_front"
_SIZES = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)
_KEY = 0.3  # inches
_OURS, _THEIRS = Colour("#1f6fb4", "#5eaee8"), Colour("#c4531c", "#ff9a63")

Point = list[float]  # multiply-accumulates over those of BPTT, bytes


class Panel(TypedDict):
    network: str
    T: int
    batch: int
    bound: int  # bytes that recomputation leaves
    ours: list[Point]  # from BPTT on
    shipped: list[Point]  # SpikingJelly's optimiser, level 1
    emulated: list[Point]  # its levels 2 to 4, by counted peaks


class Data(Plotted):
    panels: list[Panel]


def data(lines: Sequence[Json]) -> Data | None:
    """The networks of ``DRAWN`` (bench/lift/zoo/front_page.py) that are measured."""
    found = {(line["network"], case["T"]): case for line in lines for case in line.get("front", {}).get("cases", ())}
    shown = [key for key in DRAWN if key in found]
    if not shown:
        return None
    return {
        "title": "Exact gradients: memory against computation",
        "subtitle": (
            "Peak bytes of live tensors in one training step against its dense multiply-accumulates, relative to BPTT's. Every "
            "point has BPTT's gradients and running statistics. The dotted line is what recomputation leaves: weights, gradients "
            "and optimizer, the input, and the largest layer under batch norm."
        ),
        "origin": _origin([line for line in lines if any(line["network"] == network for network, _ in shown)]),
        "panels": [_panel(network, found[network, T]) for network, T in shown],
    }


def render(data: Data) -> str:
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.lines import Line2D

    panels = data["panels"]
    with style.canvas():
        columns = min(3, len(panels))
        rows = -(-len(panels) // columns)
        figure = style.sheet(data, 2.1 * rows + _KEY)
        engine = figure.get_layout_engine()
        assert isinstance(engine, ConstrainedLayoutEngine)
        left, bottom, width, height = engine.get()["rect"]
        strip = _KEY / figure.get_figheight()  # of the legend, below the panels
        engine.set(rect=(left, bottom + strip, width, height - strip))
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat[len(panels) :]:
            axes.set_visible(False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _draw(axes, panel)
        for row in grid:
            row[0].set_ylabel("peak, GiB")
        for axes in grid.flat[max(0, len(panels) - columns) : len(panels)]:
            axes.set_xlabel("MACs, relative to BPTT")
        handles = [
            Line2D([], [], color=_OURS.light, marker="o", ms=3.5, lw=1.4, label="this suite, from BPTT on"),
            Line2D([], [], color=_THEIRS.light, marker="s", ms=4, lw=0, label="SpikingJelly's memory optimiser, level 1"),
            Line2D([], [], color=_THEIRS.light, marker="s", ms=4, lw=0, mfc="none", label="its levels 2 to 4, emulated"),
        ]
        legend = figure.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(left, bottom),
            ncols=3,
            frameon=False,
            fontsize=7.5,
            borderaxespad=0,
        )
        for text in legend.get_texts():
            text.set_color(style.INK.light)
        return style.svg(figure, data["title"], ". ".join(map(_words, panels)) + ".")


def _draw(axes: Axes, panel: Panel) -> None:
    style.plain(axes)
    points = [*panel["ours"], *panel["shipped"], *panel["emulated"]]
    heights = [y / 2**30 for _, y in points] + [panel["bound"] / 2**30]
    style.logarithmic(axes, "y", min(heights) * 0.8, max(heights) * 1.25, _SIZES)
    axes.set_xlim(0.985, max(1.35, *(x for x, _ in points)) + 0.015)
    axes.axhline(panel["bound"] / 2**30, color=style.MUTED.light, lw=0.9, ls=":")
    xs, ys = zip(*panel["ours"], strict=True)
    axes.plot(xs, [y / 2**30 for y in ys], color=_OURS.light, lw=1.4, marker="o", ms=3.5, drawstyle="steps-post", zorder=3)
    for name_, filled in (("shipped", True), ("emulated", False)):
        for x, y in panel[name_]:  # type: ignore[literal-required]
            axes.plot([x], [y / 2**30], color=_THEIRS.light, marker="s", ms=4, lw=0, mfc=None if filled else "none")
    style.heading(axes, f"{panel['network']}, T = {panel['T']}")


def _words(panel: Panel) -> str:
    bptt, least = panel["ours"][0], panel["ours"][-1]
    theirs = min([*panel["shipped"], *panel["emulated"]], key=lambda point: point[1], default=None)
    other = "" if theirs is None else f"; SpikingJelly's optimiser at least {size(theirs[1])} at {theirs[0]:.2f} times"
    return f"{panel['network']}: BPTT {size(bptt[1])}, at least {size(least[1])} at {least[0]:.2f} times its MACs{other}"


def _panel(network: str, case: Json) -> Panel:
    bptt = case["schedules"][0]["macs"]

    def points(emulated: bool) -> list[Point]:
        found = {(entry["macs"], entry["peak"]) for entry in case["spikingjelly"] if entry["emulated"] == emulated}
        return [[round(macs / bptt, 4), peak] for macs, peak in sorted(found)]

    return {
        "network": network,
        "T": case["T"],
        "batch": case["batch"],
        "bound": case["bound"]["total"],
        "ours": [[round(entry["macs"] / bptt, 4), entry["peak"]] for entry in case["schedules"]],
        "shipped": points(False),
        "emulated": points(True),
    }


def _origin(lines: Sequence[Json]) -> Origin:
    parts = [line["front"] for line in lines]
    commits = sorted({part["commit"] for part in parts})
    machines = sorted({part["machine"] for part in parts})
    versions = parts[0]["versions"]
    caption = " · ".join(
        (
            f"commit {', '.join(commit[:10] for commit in commits)}",
            "batch 32, float32, SGD with momentum; each point is one step, counted on tensors without storage",
            ", ".join(f"{name} {versions[name]}" for name in ("torch", "spikingjelly")),
        )
    )
    count = sum(len(case["schedules"]) + len(case["spikingjelly"]) for part in parts for case in part["cases"])
    return {
        "caption": caption,
        "machines": machines,
        "commits": commits,
        "scales": [],
        "records": count,
        "records by older code": 0,
    }
