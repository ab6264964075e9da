"""Numbers that a paper reports against ours, with the identity line and each claim's tolerance."""

from __future__ import annotations

from typing import Any

from bench.claims import Verdict
from bench.figures import style
from bench.figures.paper import Paper, origin

name = "reported_against_measured"


def data(paper: Paper) -> dict[str, Any] | None:
    """One panel a unit; claims of the unit that were not measured are ticks at the foot of its panel."""
    numbers = [v for v in paper.verdicts if v.claim.value is not None]
    measured = [v for v in numbers if isinstance(v.measured, int | float)]
    if not measured:
        return None
    keys = {key for v in measured for key in v.keys}
    used = [r for r in paper.records if r.key in keys and r.status == "ok"]
    units = list(dict.fromkeys(v.claim.unit for v in measured))
    return {
        "title": "Reported against measured",
        "subtitle": (
            f"{len(measured)} of the {len(numbers)} numbers that the paper reports were measured. "
            "Line: equal. Bars: tolerance. Ticks at the foot: reported, not measured here."
        ),
        "origin": origin(paper, used, "one claim a point"),
        "panels": [
            {
                "unit": unit,
                "quantity": next(v.claim.quantity for v in measured if v.claim.unit == unit),
                "points": [_point(v) for v in measured if v.claim.unit == unit],
                "not measured": sorted(
                    v.claim.value for v in numbers if v.claim.unit == unit and v not in measured and v.claim.value is not None
                ),
            }
            for unit in units
        ],
    }


def render(data: dict[str, Any]) -> str:
    with style.canvas():
        panels = data["panels"]
        columns = min(2, len(panels))
        deep = -(-len(panels) // columns)
        figure = style.sheet(data, 3.4 * deep)
        grid = figure.subplots(deep, columns, squeeze=False)
        for spare in grid.flat[len(panels) :]:
            spare.set_visible(False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            _panel(axes, panel)
        return style.svg(figure, data["title"], _description(panels))


def _panel(axes: Any, panel: dict[str, Any]) -> None:
    unit = "" if panel["unit"] == "1" else f" ({panel['unit']})"
    scale = 1e6 if max(p["reported"] for p in panel["points"]) >= 1e6 else 1
    million = " in millions" if scale > 1 else ""
    style.plain(axes)
    style.heading(axes, panel["quantity"])
    axes.set_xlabel(f"reported{million}{unit}")
    axes.set_ylabel(f"measured{million}{unit}")
    everything = [p[side] / scale for p in panel["points"] for side in ("reported", "measured")]
    everything += [value / scale for value in panel["not measured"]]
    low, high = min(everything), max(everything)
    room = 0.08 * (high - low or high or 1)
    span = (low - room, high + room)
    axes.set_xlim(span)
    axes.set_ylim(span)
    axes.plot(span, span, color=style.MUTED.light, lw=0.8, ls=(0, (4, 3)))
    axes.plot(
        [value / scale for value in panel["not measured"]], [0.02] * len(panel["not measured"]), "|", ms=9,
        color=style.MUTED.light, transform=axes.get_xaxis_transform(),
    )  # fmt: skip
    ends = []
    for p in sorted(panel["points"], key=lambda p: p["measured"]):
        colour = style.VERDICTS[p["verdict"]].colour
        x, y = p["reported"] / scale, p["measured"] / scale
        axes.errorbar(
            [x], [y], yerr=[(p["tolerance"] or 0) / scale], fmt="o", ms=6, mec=style.PAPER.light, mew=0.8, lw=1.2,
            color=colour.light,
        )  # fmt: skip
        ends.append((y, p["id"], colour))
    style.end_labels(axes, ends, 0.07)


def _point(verdict: Verdict) -> dict[str, Any]:
    return {
        "id": verdict.claim.id,
        "reported": verdict.claim.value,
        "measured": verdict.measured,
        "tolerance": verdict.claim.tolerance,
        "verdict": verdict.verdict,
    }


def _description(panels: list[dict[str, Any]]) -> str:
    said = [f"{p['id']}: reported {p['reported']:g}, measured {p['measured']:g}" for panel in panels for p in panel["points"]]
    return "Points near the line of equality. " + "; ".join(said) + "."
