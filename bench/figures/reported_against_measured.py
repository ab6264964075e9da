"""Every reported number against ours, as measured / reported: one row per claim, one axis for all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from bench.claims import Claim, Verdict
from bench.figures import rows, style
from bench.figures.measured import labels
from bench.figures.paper import Paper, Plotted, origin
from bench.quantity import quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

name = "reported_against_measured"
_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 10, 20, 50, 100)
_LINEAR_UP_TO = 3  # times between the ends of the axis; beyond it is logarithmic
_SHAPES = {  # not every reader can distinguish the colours
    "reproduced": "o",
    "exceeded": "^",
    "partly": "D",
    "cannot tell": "s",
    "not reproduced": "X",
    "stale": "P",
    "not attempted": "o",
    "undecidable": "d",
}
_OPEN = ("not attempted", "undecidable")


class Point(TypedDict):
    label: str
    ratio: float
    spread: float | None


class Row(rows.Row):
    id: str
    verdict: str
    printed: str
    measured: str
    range: bool
    allowed: list[float] | None
    points: list[Point]


class Data(Plotted):
    groups: list[rows.Group[Row]]


def data(paper: Paper) -> Data | None:
    """Claims with a number, grouped by place; a number is divided by the one reported, of a range by its geometric middle."""
    shown = [(verdict, row) for verdict in paper.verdicts if (row := _row(verdict)) is not None]
    measured = [verdict for verdict, row in shown if row["points"]]
    if not measured:
        return None
    keys = {key for verdict in measured for key in verdict.keys}
    used = [r for r in paper.records if r.key in keys and r.status == "ok"]
    groups: dict[str, list[Row]] = {}
    for verdict, row in shown:
        groups.setdefault(verdict.claim.place, []).append(row)
    ranges = any(row["range"] for _, row in shown)
    return {
        "title": "Reported against measured",
        "subtitle": (
            f"{len(shown)} reported numbers, {len(measured)} of them measured. 1: as reported"
            + (" (a range: its geometric middle)" if ranges else "")
            + ". Filled: measured; open: not measured here. Grey bars: what the claim allows. Lines: standard deviation."
        ),
        "origin": origin(paper, used, "each row is one claim"),
        "groups": [{"heading": place[:1].upper() + place[1:], "rows": of_place} for place, of_place in groups.items()],
    }


def _row(verdict: Verdict) -> Row | None:
    claim = verdict.claim
    found = _reported(claim)
    if found is None:
        return None
    reference, allowed = found
    numbers = [
        (label, part.measured, part.spread)
        for label, part in zip(labels(verdict), verdict.parts, strict=True)
        if reference is not None and isinstance(part.measured, int | float)
    ]
    return {
        "id": claim.id,
        "title": claim.id,
        "verdict": verdict.verdict,
        "printed": claim.printed,
        "measured": _text(verdict, [value for _, value, _ in numbers]),
        "range": claim.value is None and allowed is not None,
        "allowed": [bound / reference for bound in allowed] if allowed and reference else None,
        "points": [
            {
                "label": label,
                "ratio": value / reference,
                "spread": spread / abs(reference) if spread else None,
            }
            for label, value, spread in numbers
            if reference is not None
        ],
    }


def _reported(claim: Claim) -> tuple[float | None, tuple[float, float] | None] | None:
    """(what to divide by, what is allowed) of a claim with a number, else None. Of a claim on a search both are None."""
    if claim.value is not None:
        allowed = (claim.value - claim.tolerance, claim.value + claim.tolerance) if claim.tolerance else None
        return (claim.value or None), allowed
    if not any(letter.isdigit() for letter in claim.printed):
        return None
    ranges = {(part["low"], part["high"]) for part in claim.parts if part.get("low", 0) > 0 and "high" in part}
    if len(ranges) == 1:
        [(low, high)] = ranges
        return math.sqrt(low * high), (low, high)
    return (None, None) if any("reports" in part for part in claim.parts) else None


def _text(verdict: Verdict, values: Sequence[float]) -> str:
    """The measured numbers in the width of a column."""
    if not values:
        return "–" if verdict.measured is None else quantity(verdict.measured, verdict.claim.unit)
    unit = verdict.claim.unit
    low, high = quantity(min(values), unit), quantity(max(values), unit)
    return low if low == high else f"{low.split(' ')[0]} to {high}"


def render(data: Data) -> str:
    with style.canvas():
        groups = data["groups"]
        figure = style.sheet(data, rows.height(groups) + 0.3)
        axes = figure.subplots()
        style.plain(axes, grid="x")
        axes.spines["left"].set_visible(False)
        placed = rows.lay(axes, groups)
        _axis(axes, [row for _, row in placed])
        axes.axvline(1, color=style.INK.light, lw=1, zorder=0.8)
        for y, row in placed:
            _draw(axes, y, row)
        rows.column(axes, 1.4, "reported", placed, [row["printed"] for _, row in placed])
        rows.column(axes, 2.35, "measured", placed, [row["measured"] for _, row in placed])
        axes.set_xlabel(f"measured / reported ({axes.get_xscale()})".replace("(log)", "(logarithmic)").replace(" (linear)", ""))
        _key(figure, axes, [row["verdict"] for _, row in placed])
        return style.svg(figure, data["title"], _description([row for _, row in placed]))


def _axis(axes: Axes, shown: Sequence[Row]) -> None:
    """Linear, or logarithmic where the numbers lie far apart and all are positive."""
    ends = [1.0, *(bound for row in shown for bound in row["allowed"] or ())]
    for row in shown:
        for point in row["points"]:
            spread = point["spread"] or 0
            ends += [point["ratio"] - spread, point["ratio"] + spread]
    low, high = min(ends), max(ends)
    if low > 0 and high > _LINEAR_UP_TO * low:
        room = (high / low) ** 0.05
        style.logarithmic(axes, "x", low / room, high * room, _TICKS)
    else:
        room = max(0.05 * (high - low), 0.01)
        axes.set_xlim(low - room, high + room)


def _draw(axes: Axes, y: float, row: Row) -> None:
    colour = style.VERDICTS[row["verdict"]].colour.light
    shape = _SHAPES[row["verdict"]]
    if row["allowed"]:
        axes.plot(row["allowed"], [y, y], "-", color=style.GRID.light, lw=9, solid_capstyle="butt", zorder=1.5)
    if not row["points"]:
        axes.plot([1], [y], shape, ms=4.2, mfc=style.PAPER.light, mec=colour, mew=1, zorder=3)
    for point in row["points"]:
        if point["spread"]:
            ends = [point["ratio"] - point["spread"], point["ratio"] + point["spread"]]
            axes.plot(ends, [y, y], "-", color=colour, lw=1.4, zorder=2.5)
        axes.plot([point["ratio"]], [y], shape, ms=5.5, mec=style.PAPER.light, mew=0.6, color=colour, zorder=3)


def _key(figure: Figure, axes: Axes, verdicts: Sequence[str]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.transforms import blended_transform_factory

    present = [verdict for verdict in _SHAPES if verdict in verdicts]
    handles = []
    for verdict in present:
        colour = style.VERDICTS[verdict].colour.light
        face = style.PAPER.light if verdict in _OPEN else colour
        handles.append(Line2D([], [], ls="", marker=_SHAPES[verdict], ms=5.5, mfc=face, mec=colour, mew=1, label=verdict))
    legend = axes.legend(
        # From the left edge of the figure: six verdicts in one row are wider than the axes.
        handles=handles, loc="lower left", bbox_to_anchor=(0.02, 1),
        bbox_transform=blended_transform_factory(figure.transFigure, axes.transAxes), borderaxespad=0.2, ncols=len(present),
        frameon=False, fontsize=7.5, handletextpad=0.2, columnspacing=1.2,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_color(style.INK.light)


def _description(shown: Sequence[Row]) -> str:
    described = [f"{row['title']}: {row['verdict']}, reported {row['printed']}, measured {row['measured']}" for row in shown]
    return "Rows of measured over reported numbers. " + "; ".join(described) + "."
