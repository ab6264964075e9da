"""Rows of a table-like figure: names at the left, under the heading of their group, numbers in columns at the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, NotRequired, TypedDict, TypeVar

from bench.figures import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Row(TypedDict):
    """A row of a figure's data. ``lacking``: why there is no number."""

    title: str
    algorithm: NotRequired[str]
    lacking: NotRequired[str]


R = TypeVar("R", bound=Row)


class Group(TypedDict, Generic[R]):
    heading: str
    rows: list[R]


_PITCH = 0.2  # inches per row
_HEAD = 1.2  # rows a heading takes


def height(groups: Sequence[Group[R]]) -> float:
    """Inches of the plot, with room for an axis below."""
    return _PITCH * sum(_HEAD + len(group["rows"]) for group in groups) + 0.6


def lay(axes: Axes, groups: Sequence[Group[R]]) -> list[tuple[float, R]]:
    """Write headings and names; return every row with the height (data) at which it is to be drawn."""
    placed: list[tuple[float, R]] = []
    y = 0.0
    for group in groups:
        place = axes.get_yaxis_transform()
        axes.text(
            0.008, y, group["heading"], transform=place, size=7.5, weight="bold", color=style.INK.light,
            va="center_baseline", bbox={"facecolor": style.PAPER.light, "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
        for row in group["rows"]:
            y += 1
            placed.append((y, row))
        y += _HEAD
    axes.set_ylim(y - _HEAD + 0.7, -0.7)
    axes.set_yticks([y for y, _ in placed], [row["title"] for _, row in placed])
    axes.tick_params(axis="y", length=0)
    for text, (_, row) in zip(axes.get_yticklabels(), placed, strict=True):
        text.set_color((style.algorithm(row["algorithm"]).colour if "algorithm" in row else style.INK).light)
    return placed


def column(axes: Axes, x: float, head: str, placed: Sequence[tuple[float, R]], texts: Sequence[str]) -> None:
    """A column of numbers that ends ``x`` inches right of the axes, with its heading in the first heading's row."""
    cells = [(0.0, head, style.MUTED), *((y, text, style.INK) for (y, _), text in zip(placed, texts, strict=True))]
    for y, text, colour in cells:
        axes.annotate(
            text, (1, y), (72 * x, 0), xycoords=axes.get_yaxis_transform(), textcoords="offset points", size=7.5,
            color=colour.light, ha="right", va="center_baseline", annotation_clip=False,
        )  # fmt: skip


def lacking(axes: Axes, placed: Sequence[tuple[float, R]], x: float) -> None:
    """Say in its row why there is no number; ``x`` in data."""
    for y, row in placed:
        if "lacking" in row:
            axes.text(x, y, row["lacking"], size=7.5, style="italic", color=style.MUTED.light, va="center_baseline")
