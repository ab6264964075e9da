"""Published gigabytes of a GPU beside the live bytes that are counted for the same step in half precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.claims.rules.memory import OF_CUDA
from bench.figures import rows, style
from bench.figures.paper import Paper, origin
from bench.figures.words import title
from bench.overhead import OVERHEAD
from bench.quantity import significant
from bench.record import Record

name = "published_against_counted"
_GIB = 2**30
_TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200]
_PEAK = ("peak_reserved_bytes", OF_CUDA["cost-half"])  # metric and probe of a claim on a GPU's memory in half precision
_STEP = ("network", "algorithm", "backend", "T", "batch")


def data(paper: Paper) -> dict[str, Any] | None:
    """Every step that is counted in half precision, by network; with the number that a claim reports for it."""
    counted = [r for r in paper.counted("peak_live_bytes_half") if isinstance(r.value, int | float)]
    published = _published(paper)
    if not any(_step(record) in published for record in counted):
        return None
    groups: dict[str, list[dict[str, Any]]] = {}
    counted.sort(key=lambda r: _place(paper, r))
    for record in counted:
        case = record.case
        found = published.get(_step(record))
        groups.setdefault(f"{case['network']}, T = {case['T']}, batch {case['batch']}", []).append(
            {
                "title": title(record),
                "algorithm": case["algorithm"],
                "counted": record.value,
                "most": _most(float(record.value)),  # type: ignore[arg-type]
                "published": found,
            }
        )
    return {
        "title": "Published against counted memory",
        "subtitle": (
            "One training step in half precision. Dots: peak bytes of live tensors, counted here. Bars: what a GPU may report "
            "for them, with workspaces, the allocator's rounding and CUDA's context. Diamonds: what the paper reports, CUDA's "
            "peak of reserved memory. GB are read as GiB."
        ),
        "origin": origin(paper, counted, "one counted step a row"),
        "groups": [{"heading": heading, "rows": of_network} for heading, of_network in groups.items()],
    }


def _published(paper: Paper) -> dict[tuple[Any, ...], float]:
    """Reported GB by step."""
    found: dict[tuple[Any, ...], float] = {}
    for claim in (verdict.claim for verdict in paper.verdicts):
        for part in claim.parts:
            select = part.get("select", {})
            if claim.value is not None and "over" not in part and (select.get("metric"), select.get("probe")) == _PEAK:
                options = tuple(sorted(select.get("options", {}).items()))
                found[(*(select.get(name) for name in _STEP), options)] = claim.value
    return found


def _step(record: Record) -> tuple[Any, ...]:
    return (*(record.case[name] for name in _STEP), tuple(sorted(record.case["options"].items())))


def _place(paper: Paper, record: Record) -> tuple[Any, ...]:
    """Networks in the order of the plan, algorithms in that of figures."""
    planned = [case.network for case in paper.planned]
    network = record.case["network"]
    nth = planned.index(network) if network in planned else len(planned)
    return (nth, network, style.algorithm_order(record.case["algorithm"]), title(record))


def _most(live: float) -> float:
    """The most that a GPU may report, in bytes."""
    return (1 + OVERHEAD.rounding[1]) * live + OVERHEAD.fixed[1]


def render(data: dict[str, Any]) -> str:
    with style.canvas():
        groups = data["groups"]
        figure = style.sheet(data, rows.height(groups) + 0.2)
        axes = figure.subplots()
        style.plain(axes, grid="x")
        axes.spines["left"].set_visible(False)
        placed = rows.lay(axes, groups)
        ends = [x / _GIB for _, row in placed for x in (row["counted"], row["most"])]
        ends += [row["published"] for _, row in placed if row["published"] is not None]
        style.logarithmic(axes, "x", [tick for tick in _TICKS if min(ends) / 1.5 <= tick <= max(ends) * 1.5])
        axes.set_xlim(min(ends) / 1.25, max(ends) * 1.25)
        for y, row in placed:
            colour = style.algorithm(row["algorithm"]).colour.light
            span = [row["counted"] / _GIB, row["most"] / _GIB]
            axes.plot(span, [y, y], "-", color=style.GRID.light, lw=7, solid_capstyle="butt")
            axes.plot([row["counted"] / _GIB], [y], "o", ms=5, color=colour, mec=style.PAPER.light, mew=0.6, zorder=3)
            if row["published"] is not None:
                axes.plot([row["published"]], [y], "D", ms=5, mfc="none", mec=style.INK.light, mew=1, zorder=3)
        rows.column(axes, 0.75, "counted", placed, [significant(row["counted"] / _GIB) for _, row in placed])
        rows.column(axes, 1.5, "published", placed, [_text(row["published"]) for _, row in placed])
        rows.column(axes, 2.25, "difference", placed, [_text(_difference(row), signed=True) for _, row in placed])
        axes.set_xlabel("peak, GiB (logarithmic)")
        return style.svg(figure, data["title"], _description([row for _, row in placed]))


def _difference(row: rows.Row) -> float | None:
    return None if row["published"] is None else float(row["published"] - row["counted"] / _GIB)


def _text(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "–"
    return f"{value:+.2f}" if signed else f"{value:.2f}"


def _description(shown: Sequence[rows.Row]) -> str:
    said = [
        f"{row['title']}: counted {significant(row['counted'] / _GIB)} GiB, "
        + ("nothing published" if row["published"] is None else f"published {row['published']:.2f} GB")
        for row in shown
    ]
    return "Rows of counted and published memory. " + "; ".join(said) + "."
