"""Heat maps over the design space (K, b): cells on a fixed grid, so that the file does not depend on the width of a label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figures import style
from bench.figures.paper import Plotted
from bench.registry import Colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Blocks = int | str  # layers of neurons per block; "all" comes last
_INK = "#111418"  # upon shades that a dark page leaves as they are
_LIGHTEST = "#fdfbfb"  # not quite white, which a dark page would exchange


@dataclass(frozen=True)
class Square:
    """One cell: ``share`` of the full shade, 0 to 1, what is written in it, in up to two lines, and whether it is outlined."""

    K: int
    b: Blocks
    share: float
    lines: tuple[str, ...]
    marked: bool = False


def sheet(data: Plotted, deep: int, columns: int, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A page with ``deep`` x ``columns`` axes of a fixed place; ``height``: inches per row."""
    figure = style.sheet(data, height * deep)
    engine = figure.get_layout_engine()
    assert engine is not None, "style.sheet sets one"
    left, bottom, width, tall = engine.get()["rect"]
    figure.set_layout_engine("none")
    row = tall / deep
    made = figure.subplots(
        deep, columns, squeeze=False,
        gridspec_kw={
            "left": left + 0.05, "right": left + width, "bottom": bottom + 0.2 * row, "top": bottom + tall - 0.18 * row,
            "hspace": 0.52, "wspace": 0.12,
        },
    )  # fmt: skip
    grid: list[list[Axes]] = [list(line) for line in made]
    for line in grid:
        line[0].set_ylabel("K")
    for axes in grid[-1]:
        axes.set_xlabel("b, layers of neurons per block")
    return figure, grid


def draw(axes: Axes, title: str, note: str, squares: Sequence[Square], colour: Colour) -> None:
    """Squares at their K and b, darker with their share, under a title and a line of small print."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("shades", [_LIGHTEST, colour.light])
    style.plain(axes, grid="x")
    axes.grid(visible=False)
    style.heading(axes, title, above=14)
    axes.annotate(note, (0, 1), (0, 4), xycoords="axes fraction", textcoords="offset points", size=6.5, color=style.MUTED.light)
    lengths = sorted({square.K for square in squares})
    blocks = sorted({square.b for square in squares}, key=lambda b: (isinstance(b, str), b))
    for square in sorted(squares, key=lambda square: square.marked):  # outlines lie over their neighbours
        x, y = blocks.index(square.b), lengths.index(square.K)
        corners = [x, x + 1, x + 1, x], [y, y, y + 1, y + 1]
        axes.fill(*corners, facecolor=shades(0.75 * min(max(square.share, 0.0), 1.0)), lw=0)
        for nth, (line, at) in enumerate(zip(square.lines, (0.5,) if len(square.lines) == 1 else (0.64, 0.3), strict=True)):
            axes.text(x + 0.5, y + at, line, size=7 if nth == 0 else 5.8, ha="center", va="center_baseline", color=_INK)
        if square.marked:
            inner = [x + 0.03, x + 0.97, x + 0.97, x + 0.03], [y + 0.05, y + 0.05, y + 0.95, y + 0.95]
            axes.fill(*inner, facecolor="none", edgecolor=_INK, lw=1.4)
    axes.set_xlim(0, len(blocks))
    axes.set_ylim(0, len(lengths))
    axes.set_xticks([i + 0.5 for i in range(len(blocks))], [str(b) for b in blocks])
    axes.set_yticks([i + 0.5 for i in range(len(lengths))], [str(K) for K in lengths])
    axes.tick_params(length=0)
