"""Published gigabytes of a GPU beside the live bytes that are counted for the same step in half precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NotRequired

from bench.claims.rules.memory import OF_CUDA
from bench.figures import rows, style
from bench.figures.paper import Paper, Plotted, origin
from bench.figures.words import title
from bench.overhead import OVERHEAD
from bench.quantity import significant
from bench.record import Record

name = "published_against_counted"
_GIB = 2**30
_TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200]
_PEAK = ("peak_reserved_bytes", OF_CUDA["cost-half"])  # metric and probe of a claim on a GPU's memory in half precision

Step = tuple[object, ...]  # network, algorithm, backend, T, batch, options


class Row(rows.Row):
    """``counted`` live bytes, the ``most`` bytes that a GPU may report for them, and ``published`` GB."""

    counted: float
    most: float
    published: NotRequired[float]


class Data(Plotted):
    groups: list[rows.Group[Row]]


def data(paper: Paper) -> Data | None:
    """Every step that is counted in half precision, by network; with the number that a claim reports for it."""
    counted = sorted(paper.counted("peak_live_bytes_half"), key=lambda r: _place(paper, r))
    published = _published(paper)
    if not any(_step(record) in published for record in counted):
        return None
    groups: dict[str, list[Row]] = {}
    for record in counted:
        case, live = record.case, record.number
        row: Row = {"title": title(record), "algorithm": case["algorithm"], "counted": live, "most": _most(live)}
        if _step(record) in published:
            row["published"] = published[_step(record)]
        groups.setdefault(f"{case['network']}, T = {case['T']}, batch {case['batch']}", []).append(row)
    return {
        "title": "Published against counted memory",
        "subtitle": (
            "One training step in half precision. Dots: peak bytes of live tensors, counted here. Bars: what a GPU may report "
            "for them, with workspaces, the allocator's rounding and CUDA's context. Diamonds: what the paper reports, CUDA's "
            "peak of reserved memory. GB are read as GiB."
        ),
        "origin": origin(paper, counted, "each row is one counted step"),
        "groups": [{"heading": heading, "rows": of_network} for heading, of_network in groups.items()],
    }


def _published(paper: Paper) -> dict[Step, float]:
    """Reported GB by step."""
    found: dict[Step, float] = {}
    for claim in (verdict.claim for verdict in paper.verdicts):
        for part in claim.parts:
            if claim.value is None or "over" in part or "select" not in part:
                continue
            s = part["select"]
            if (s.get("metric"), s.get("probe")) == _PEAK:
                options = tuple(sorted(s.get("options", {}).items()))
                step = (s.get("network"), s.get("algorithm"), s.get("backend"), s.get("T"), s.get("batch"), options)
                found[step] = claim.value
    return found


def _step(record: Record) -> Step:
    case = record.case
    options = tuple(sorted(case["options"].items()))
    return (case["network"], case["algorithm"], case["backend"], case["T"], case["batch"], options)


def _place(paper: Paper, record: Record) -> tuple[int, str, tuple[int, str], str]:
    """Networks in the order of the plan, algorithms in that of figures."""
    planned = [case.network for case in paper.planned]
    network = record.case["network"]
    nth = planned.index(network) if network in planned else len(planned)
    return (nth, network, style.algorithm_order(record.case["algorithm"]), title(record))


def _most(live: float) -> float:
    """The most that a GPU may report, in bytes."""
    return (1 + OVERHEAD.rounding[1]) * live + OVERHEAD.fixed[1]


def render(data: Data) -> str:
    with style.canvas():
        groups = data["groups"]
        figure = style.sheet(data, rows.height(groups) + 0.2)
        axes = figure.subplots()
        style.plain(axes, grid="x")
        axes.spines["left"].set_visible(False)
        placed = rows.lay(axes, groups)
        shown = [row for _, row in placed]
        ends = [x / _GIB for row in shown for x in (row["counted"], row["most"])]
        ends += [row["published"] for row in shown if "published" in row]
        style.logarithmic(axes, "x", min(ends) / 1.25, max(ends) * 1.25, _TICKS)
        for y, row in placed:
            colour = style.algorithm(row.get("algorithm", "")).colour.light
            counted = row["counted"] / _GIB
            axes.plot([counted, row["most"] / _GIB], [y, y], "-", color=style.GRID.light, lw=7, solid_capstyle="butt")
            axes.plot([counted], [y], "o", ms=5, color=colour, mec=style.PAPER.light, mew=0.6, zorder=3)
            if "published" in row:
                axes.plot([row["published"]], [y], "D", ms=5, mfc="none", mec=style.INK.light, mew=1, zorder=3)
        rows.column(axes, 0.75, "counted", placed, [significant(row["counted"] / _GIB) for row in shown])
        rows.column(axes, 1.5, "published", placed, [f"{row['published']:.2f}" if "published" in row else "–" for row in shown])
        rows.column(axes, 2.25, "difference", placed, [_difference(row) for row in shown])
        axes.set_xlabel("peak, GiB (logarithmic)")
        return style.svg(figure, data["title"], _description(shown))


def _difference(row: Row) -> str:
    return f"{row['published'] - row['counted'] / _GIB:+.2f}" if "published" in row else "–"


def _description(shown: Sequence[Row]) -> str:
    said = [
        f"{row['title']}: counted {significant(row['counted'] / _GIB)} GiB, "
        + (f"published {row['published']:.2f} GB" if "published" in row else "nothing published")
        for row in shown
    ]
    return "Rows of counted and published memory. " + "; ".join(said) + "."
