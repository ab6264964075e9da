"""How figures look: one colour an algorithm, one mark a backend, and an SVG that is the same in every run.

Each colour has a light and a dark form. A figure is drawn in the light one; the SVG carries rules that exchange it where the
reader's page is dark, so that one file serves paper, light and dark pages. matplotlib is imported by the functions that need it.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Literal

from bench.figures.paper import Plotted
from bench.registry import ALGORITHMS, BACKENDS, Backend, Colour, Dash

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType


@dataclass(frozen=True)
class Look:
    """How an algorithm or a category is shown."""

    title: str
    colour: Colour
    width: float = 1.8  # of its line: two lines of different width are both visible where they coincide


INK = Colour("#1c2128", "#e6edf3")
MUTED = Colour("#59636e", "#9aa6b2")
GRID = Colour("#d9dee4", "#333b45")
PAPER = Colour("#ffffff", "#0d1117")

# Categories of the peak: grey for what does not depend on the batch size, other colours for what does.
CATEGORIES = {
    "parameters": Look("parameters", Colour("#3b434c", "#d0d7de")),
    "gradients": Look("gradients", Colour("#77818c", "#8f9aa6")),
    "optimizer state": Look("optimizer state", Colour("#aab2bb", "#5d6772")),
    "saved for backward": Look("saved for backward", Colour("#1f78b4", "#4c9fd8")),
    "state": Look("state (membranes, traces)", Colour("#e08214", "#f2a64b")),
    "inputs": Look("inputs", Colour("#8e63a8", "#b48ccc")),
    "temporary": Look("temporary", Colour("#b8d4a8", "#7fa870")),
}
ROLES = {
    "forward": Look("forward", Colour("#2c6fa8", "#5ea6dd")),
    "recomputation": Look("recomputation", Colour("#8fbcdc", "#2f5f88")),
    "error to input": Look("error to input", Colour("#dd7d17", "#f3a850")),
    "error to weight": Look("error to weight", Colour("#5f8f4a", "#93c47d")),
    "other": Look("other", Colour("#99a1aa", "#66707b")),
}
VERDICTS = {
    "reproduced": Look("reproduced", Colour("#00795b", "#3ad1a3")),
    "exceeded": Look("exceeded", Colour("#00738b", "#4ed2e5")),
    "partly": Look("partly", Colour("#8a6e00", "#f0cd3d")),
    "cannot tell": Look("cannot tell", Colour("#7a5230", "#d2a67d")),
    "not reproduced": Look("not reproduced", Colour("#c0392b", "#ff8b7e")),
    "stale": Look("stale", Colour("#6b5b95", "#b9a9e3")),
    "not attempted": Look("not attempted", Colour("#5a646f", "#9ba7b3")),
    "undecidable": Look("undecidable", Colour("#5b656f", "#9ca8b4")),
}
_VARIANTS: tuple[Dash, ...] = ("-", (0, (4, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))  # dashes of an algorithm's settings
_UNKNOWN = Colour("#58626d", "#99a5b1")
_COLOURS = [
    *(INK, MUTED, GRID, PAPER, _UNKNOWN),
    *(look.colour for table in (CATEGORIES, ROLES, VERDICTS) for look in table.values()),
    *(look.colour for look in ALGORITHMS.values()),
]


def algorithm(name: str) -> Look:
    """Return how an algorithm is shown; one that is in records and no longer in the registry is grey."""
    known = ALGORITHMS.get(name)
    return Look(name, _UNKNOWN) if known is None else Look(known.title, known.colour, known.width)


def backend(name: str) -> Backend:
    return BACKENDS.get(name, Backend(name, "", "", "P"))


def variant(nth: int) -> Dash:
    """The dash of an algorithm's first, second, ... setting in one panel."""
    return _VARIANTS[nth % len(_VARIANTS)]


def algorithm_order(name: str) -> tuple[int, str]:
    names = list(ALGORITHMS)
    return (names.index(name) if name in names else len(names), name)


def backend_order(name: str) -> tuple[int, str]:
    names = list(BACKENDS)
    return (names.index(name) if name in names else len(names), name)


# --------------------------------------------------------------------------- drawing

WIDTH = 7.6  # inches
_MARGIN = 0.12
_FONT: Mapping[RcKeyType, str | float] = {
    "font.family": "DejaVu Sans", "font.size": 8.5, "svg.fonttype": "path", "svg.hashsalt": "spikecost",
}  # fmt: skip
_ROUND = ((1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8), (1, 2, 5), (1,))  # first digits of round numbers, from fine to coarse
_MOST_TICKS = 8
_LINE = 0.165  # inches per line of small text


def sheet(data: Plotted, height: float) -> Figure:
    """A page with title, subtitle and the caption that says where the numbers come from; ``height`` (inches) is the plot's."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    subtitle = textwrap.wrap(data["subtitle"], 112)
    caption = textwrap.wrap(data["origin"]["caption"], 128)
    top, bottom = 0.36 + _LINE * len(subtitle), 0.14 + _LINE * len(caption)
    total = top + height + bottom
    left = _MARGIN / WIDTH
    engine = ConstrainedLayoutEngine(
        rect=(left, bottom / total, 1 - 2 * left, height / total), w_pad=0.05, h_pad=0.06, wspace=0.03, hspace=0.04
    )
    figure = Figure(figsize=(WIDTH, total), facecolor=PAPER.light, layout=engine)
    figure.text(left, 1 - 0.1 / total, data["title"], size=11, weight="bold", color=INK.light, va="top")
    figure.text(left, 1 - 0.34 / total, "\n".join(subtitle), color=MUTED.light, va="top", linespacing=1.35)
    figure.text(left, 0.06 / total, "\n".join(caption), size=7, color=MUTED.light, va="bottom", linespacing=1.35)
    return figure


def plain(axes: Axes, *, grid: Literal["both", "x", "y"] = "both") -> None:
    """Axes that stay behind the data."""
    axes.set_facecolor("none")
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(MUTED.light)
        spine.set_linewidth(0.7)
    axes.tick_params(colors=MUTED.light, which="both", width=0.7, length=3)
    axes.tick_params(which="minor", length=0)
    axes.set_axisbelow(True)
    axes.grid(visible=False)
    axes.grid(visible=True, axis=grid, color=GRID.light, linewidth=0.6)
    axes.xaxis.label.set_color(INK.light)
    axes.yaxis.label.set_color(INK.light)


def logarithmic(
    axes: Axes, side: Literal["x", "y"], low: float, high: float, ticks: Sequence[float] = (), *, base: float = 10
) -> None:
    """A logarithmic axis from ``low`` to ``high``, with numbers at those of ``ticks`` that lie inside, written in full.

    Where fewer than two or more than eight do, the numbers are round ones (``round_ticks``).
    """
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    inside = [tick for tick in ticks if low <= tick <= high]
    axis = axes.xaxis if side == "x" else axes.yaxis
    (axes.set_xscale if side == "x" else axes.set_yscale)("log", base=base)
    (axes.set_xlim if side == "x" else axes.set_ylim)(low, high)
    axis.set_major_locator(FixedLocator(inside if 2 <= len(inside) <= _MOST_TICKS else round_ticks(low, high)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.set_minor_locator(NullLocator())


def round_ticks(low: float, high: float) -> list[float]:
    """Round numbers from ``low`` to ``high`` (0 < low < high), from two to eight of them."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for digits in _ROUND:  # from fine to coarse
        found = [digit * 10.0**decade for decade in decades for digit in digits]
        inside = [float(f"{tick:.6g}") for tick in found if low <= tick <= high]
        if len(inside) <= _MOST_TICKS:
            break
    if len(inside) > 1:
        return inside[:: -(-len(inside) // _MOST_TICKS)]
    step = 10.0 ** math.floor(math.log10((high - low) / 2))  # a narrow range: multiples of 1, 2 or 5 times a power of ten
    step = next(step * m for m in (5, 2, 1) if (high - low) / (step * m) >= 2)
    return [float(f"{i * step:.6g}") for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def heading(axes: Axes, text: str, above: float = 6) -> None:
    """A panel's title, ``above`` points over its axes."""
    axes.set_title(text, loc="left", size=8.5, weight="bold", color=INK.light, pad=above)


def apart(wanted: Sequence[float], gap: float, low: float = 0.0, high: float = 1.0) -> list[float]:
    """Positions near those wanted, in the same order, at least ``gap`` from one another and, if they fit, inside."""
    order = sorted(range(len(wanted)), key=lambda i: (wanted[i], i))
    places = [min(max(wanted[i], low), high) for i in order]
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + gap)
    over = places[-1] - high if places else 0.0
    if over > 0:
        places[-1] = high
        for i in range(len(places) - 2, -1, -1):
            places[i] = min(places[i], places[i + 1] - gap)
    by_index = dict(zip(order, places, strict=True))
    return [by_index[i] for i in range(len(wanted))]


def end_labels(axes: Axes, ends: Sequence[tuple[float, str, Colour]], gap: float) -> None:
    """Name lines at the right edge of ``axes`` at the height (data) where they end, moved apart where they would touch.

    Call it after the limits of the axes are set.
    """
    if not ends:
        return
    to_axes = axes.transScale + axes.transLimits
    x_right = axes.get_xlim()[1]
    heights = [float(to_axes.transform((x_right, y))[1]) for y, _, _ in ends]
    for height, place, (_, text, colour) in zip(heights, apart(heights, gap), ends, strict=True):
        axes.plot([1.0, 1.035], [height, place], transform=axes.transAxes, color=colour.light, lw=0.7, clip_on=False)
        axes.text(1.045, place, text, transform=axes.transAxes, color=colour.light, size=7.5, va="center")


def key(figure: Figure, looks: Sequence[Look]) -> None:
    """A legend of filled squares above the plot."""
    from matplotlib.patches import Patch

    legend = figure.axes[0].legend(
        handles=[Patch(color=look.colour.light, label=look.title) for look in looks],
        loc="lower left",
        bbox_to_anchor=(0, 1),
        borderaxespad=0.3,
        ncols=min(len(looks), 4),
        frameon=False,
        fontsize=7.5,
        handlelength=1.0,
        handleheight=1.0,
        columnspacing=1.2,
    )
    for text in legend.get_texts():
        text.set_color(INK.light)


# --------------------------------------------------------------------------- SVG


def canvas() -> AbstractContextManager[None]:
    """The settings under which a figure is drawn and saved; the user's own have no effect."""
    import matplotlib

    return matplotlib.rc_context({**matplotlib.rcParamsDefault, **_FONT})


def svg(figure: Figure, title: str, description: str) -> str:
    """The figure as SVG text: letters as outlines, no date, no random names; dark where the page is."""
    out = io.StringIO()
    figure.savefig(out, format="svg", facecolor=PAPER.light, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = re.sub(r"<!DOCTYPE.*?>\n?", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    # matplotlib names a clip path after the hash of its exact place, whose last bit varies from one layout to the next
    for i, name in enumerate(re.findall(r'<clipPath id="(\w+)"', text)):
        text = text.replace(name, f"clip{i}")
    head = f"<title>{escape(title)}</title>\n <desc>{escape(description)}</desc>\n <style>{_dark(text)}</style>\n"
    text = re.sub(r"(<svg\b)([^>]*>)\n", lambda m: f'{m[1]} role="img"{m[2]}\n {head}', text, count=1)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _dark(text: str) -> str:
    rules = []
    for colour in _COLOURS:
        for use in ("fill", "stroke"):
            if f"{use}: {colour.light}" in text:
                rules.append(f'[style*="{use}: {colour.light}"]{{{use}:{colour.dark}!important}}')
    return "@media screen and (prefers-color-scheme: dark){" + "".join(rules) + "}"
