"""Truncation length K against block size b: what every cell changes against BPTT, as heat maps."""

from __future__ import annotations

from typing import Any

from bench.figures import style
from bench.figures.paper import Paper, origin
from bench.inverse import CONVENTIONS, Setting, settings
from bench.spec import Record

name = "design_space"
_SHOWN = ("peak live bytes", "every operator's reads and writes", "all products", "errors carried back alone")


def data(paper: Paper) -> dict[str, Any] | None:
    """The network and T with most cells (K, b), default options beside; panels of a quantity, of accuracy, of over-fitting."""
    records = [r for metric in sorted({c.metric for c in CONVENTIONS}) for r in paper.counted(metric)]
    grid = [s for s in settings(records, "ttl-bptt") if set(dict(s.options)) == {"K", "b"}]
    if not grid:
        return None
    place = max(sorted({_place(s) for s in grid}), key=lambda p: sum(_place(s) == p for s in grid))
    here = [s for s in grid if _place(s) == place]
    network, T, batch = place
    panels = [
        {
            "title": f"{convention.quantity}: {convention.name}",
            "unit": "%",
            "good": "low",
            "cells": [[dict(s.options)["K"], dict(s.options)["b"], round(s.changes[convention], 1)] for s in here],
        }
        for convention in CONVENTIONS
        if convention.name in _SHOWN and all(convention in s.changes for s in here)
    ]
    return {
        "title": "The design space of truncation and blocks",
        "subtitle": (
            f"Change against BPTT in per cent over truncation length K (K = T: none) and layers of neurons a block b; {network}, "
            f"T = {T}, batch {batch}, counted in every cell."
        ),
        "origin": origin(paper, [r for r in records if _at(r) == place], "one counted step a cell"),
        "network": network,
        "T": T,
        "panels": panels,
    }


def _place(setting: Setting) -> tuple[str, int, int]:
    return (setting.network, setting.T, setting.batch)


def _at(record: Record) -> tuple[str, int, int]:
    return (record.case["network"], record.case["T"], record.case["batch"])


def render(data: dict[str, Any]) -> str:
    with style.canvas():
        from matplotlib.colors import LinearSegmentedColormap

        panels = data["panels"]
        columns = 2
        deep = -(-len(panels) // columns)
        figure = style.sheet(data, 1.75 * deep)
        engine: Any = figure.get_layout_engine()
        left, bottom, width, height = engine.get()["rect"]
        figure.set_layout_engine("none")  # cells stand on a fixed grid: the same bytes in every run
        grid = figure.subplots(
            deep, columns, squeeze=False,
            gridspec_kw={
                "left": left + 0.05, "right": left + width, "bottom": bottom + 0.09 * height, "top": bottom + 0.93 * height,
                "hspace": 0.38, "wspace": 0.12,
            },
        )  # fmt: skip
        # not quite white, which a dark page would exchange
        shades = LinearSegmentedColormap.from_list("saved", ["#fdfbfb", style.algorithm("ttl-bptt").colour.light])
        said = []
        for spare in grid.flat[len(panels) :]:
            spare.set_visible(False)
        for axes, panel in zip(grid.flat, panels, strict=False):
            lengths = sorted({K for K, _, _ in panel["cells"]})
            blocks = sorted({b for _, b, _ in panel["cells"]})
            for K, b, value in panel["cells"]:
                x, y = blocks.index(b), lengths.index(K)
                share = min(max(-value / 100, 0.0), 1.0) * 0.75
                axes.fill([x, x + 1, x + 1, x], [y, y, y + 1, y + 1], color=shades(share), lw=0)
                axes.text(x + 0.5, y + 0.5, f"{value:+.3g}", size=7, ha="center", va="center_baseline", color="#111418")
            style.plain(axes, grid="x")
            axes.grid(visible=False)
            style.heading(axes, panel["title"])
            axes.set_xlim(0, len(blocks))
            axes.set_ylim(0, len(lengths))
            axes.set_xticks([i + 0.5 for i in range(len(blocks))], [str(b) for b in blocks])
            axes.set_yticks([i + 0.5 for i in range(len(lengths))], [str(K) for K in lengths])
            axes.tick_params(length=0)
            best = min(panel["cells"], key=lambda cell: (cell[2], cell[0], cell[1]))
            said.append(f"{panel['title']}: least {best[2]:+g} % at K = {best[0]}, b = {best[1]}")
        for axes in grid[:, 0]:
            axes.set_ylabel("K")
        for axes in grid[-1]:
            axes.set_xlabel("b, layers of neurons a block")
        return style.svg(figure, data["title"], "Heat maps. " + "; ".join(said) + ".")
