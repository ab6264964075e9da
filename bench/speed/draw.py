"""Runs of workloads as a figure: the time of every row over that of the convolutions alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.figures import rows, style
from bench.probes.clock import ratio_in_turns
from bench.quantity import size
from bench.speed.rows import FLOOR
from bench.speed.saved import Saved
from bench.speed.turns import PAPER_BATCH, Run, Timed

SHOWN_T = 10


def data(kept: Sequence[Saved], machine: str) -> dict[str, Any]:
    """Return the plotted data as plain JSON values: the workloads with T = 10, rows sorted from fastest to slowest."""
    shown = [saved for saved in kept if saved.run.workload.T == SHOWN_T] or list(kept)
    devices = " and a ".join(dict.fromkeys(saved.run.device.upper() for saved in shown))
    by_code: dict[str, list[str]] = {}
    for saved in shown:
        by_code.setdefault(saved.told, []).append(saved.run.workload.key)
    measured = "; ".join(f"{', '.join(keys)}: {told}" for told, keys in by_code.items())
    return {
        "title": "Time of one training step over the convolutions alone",
        "subtitle": (
            f"On a {devices} ({machine}). Every row in a process of its own, timed in turns; the convolutions "
            "alone (forward and both gradients, in the better layout) are 1. Dots: median of the ratios turn by turn; "
            f"lines: their quartiles. At the right: that median, and peak live bytes at batch {PAPER_BATCH}, exact."
        ),
        "origin": {"caption": f"machine {machine} · {measured}"},
        "groups": [{"heading": _heading(saved), "rows": _rows(saved.run)} for saved in shown],
    }


def _heading(saved: Saved) -> str:
    return f"{saved.run.workload} ({saved.run.turns} turns{'' if saved.current else ', former code'})"


def _rows(run: Run) -> list[dict[str, Any]]:
    floor = min((timed for timed in run.timed if timed.row.algorithm == FLOOR), key=lambda timed: timed.median)
    others = [_row(run, timed, floor) for timed in run.timed if timed.row.algorithm != FLOOR]
    return sorted(others, key=lambda row: float(row["ratio"]))


def _row(run: Run, timed: Timed, floor: Timed) -> dict[str, Any]:
    low, ratio, high = ratio_in_turns(timed.seconds, floor.seconds)
    options = ", ".join(f"{name} = {value}" for name, value in timed.row.options)
    title = f"{style.algorithm(timed.row.algorithm).title}{f' ({options})' if options else ''}, "
    return {
        "algorithm": timed.row.algorithm,
        "backend": timed.row.backend,
        "title": title + style.backend(timed.row.backend).title,
        "ratio": ratio,
        "quartiles": [low, high],
        "peak bytes": timed.peak_bytes,
    }


def render(data: Any) -> str:
    with style.canvas():
        from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

        figure = style.sheet(data, rows.height(data["groups"]))
        axes = figure.subplots()
        style.plain(axes, grid="x")
        axes.spines["left"].set_visible(False)
        placed = rows.lay(axes, data["groups"])
        ends = [end for _, row in placed for end in (row["ratio"], *row["quartiles"])]
        axes.set_xscale("log", base=2)
        axes.set_xlim(min(0.9, min(ends) / 1.1), max(ends) * 1.1)
        ticks = [tick for tick in (0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16) if tick <= max(ends) * 1.1]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.axvline(1, color=style.INK.light, lw=1)
        for y, row in placed:
            colour = style.algorithm(row["algorithm"]).colour.light
            axes.plot(row["quartiles"], [y, y], "|-", color=colour, lw=1.4, ms=5, mew=1.4, solid_capstyle="butt")
            axes.plot([row["ratio"]], [y], style.backend(row["backend"]).marker, ms=6, mew=0, color=colour)
        rows.column(axes, 0.35, "ratio", placed, [f"{row['ratio']:.2f}" for _, row in placed])
        rows.column(axes, 1.05, "peak", placed, [size(row["peak bytes"]) for _, row in placed])
        axes.set_xlabel("time of a step / time of the convolutions alone (logarithmic)")
        said = "; ".join(f"{row['title']}: {row['ratio']:.2f}" for _, row in placed)
        return style.svg(figure, data["title"], f"Dots with quartiles; 1 is the convolutions alone. {said}.")
