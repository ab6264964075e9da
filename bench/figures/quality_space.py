"""Truncation length K against block size b: what every cell gives, as heat maps, one row per data set."""

from __future__ import annotations

from typing import TypedDict

from bench.design_space import Cell
from bench.figures import heat, style
from bench.figures.paper import Paper, Plotted, origin
from bench.figures.spaces import Space, Summary, spaces, summary
from bench.record import Record

name = "quality_space"
_PANELS = (  # metric, title, colour of, digits after the point
    ("test_accuracy", "test accuracy, %", "sltt", 1),
    ("train_test_gap", "train-test gap, points", "ottt-a", 1),
    ("gradient_cosine", "gradient's cosine to BPTT's", "bptt", 2),
)


class OneCell(Summary):
    K: int
    b: int | str


class Panel(TypedDict):
    metric: str
    title: str
    look: str
    digits: int
    cells: list[OneCell]


class Row(TypedDict):
    dataset: str
    title: str
    T: int
    panels: list[Panel]


class Data(Plotted):
    rows: list[Row]


def data(paper: Paper) -> Data | None:
    """Accuracy, over-fitting and gradient of every cell, on each data set with a grid of trainings."""
    found = spaces(paper)
    if not found:
        return None
    used: list[Record] = []
    rows: list[Row] = []
    for space in found:
        panels = [_panel(paper, space, used, *panel) for panel in _PANELS]
        rows.append({"dataset": space.case["dataset"], "title": space.title, "T": space.case["T"], "panels": panels})
    return {
        "title": "The design space of truncation and blocks: quality",
        "subtitle": (
            "Over truncation length K (K = T: none) and layers of neurons per block b: mean and standard deviation over n seeds; "
            "a panel's highest is darkest. Gap: the last epoch's accuracy on training batches, as it learns, less that on the "
            "test set. Gradient: one batch at the initial weights. " + "; ".join(space.what for space in found) + "."
        ),
        "origin": origin(paper, used, "each cell is a mean over seeds"),
        "rows": rows,
    }


def _panel(paper: Paper, space: Space, used: list[Record], metric: str, title: str, look: str, digits: int) -> Panel:
    by_cell = space.of(paper.measured(metric))
    used += [record for runs in by_cell.values() for record in runs]
    cells: list[OneCell] = [{"K": cell.K, "b": cell.blocks, **summary(by_cell[cell])} for cell in space.runs if cell in by_cell]
    if metric == "gradient_cosine" and cells:  # BPTT's own needs no measuring
        uncut = Cell(space.case["T"])
        cells = [c for c in cells if (c["K"], c["b"]) != (uncut.K, uncut.blocks)]
        cells.append({"K": uncut.K, "b": uncut.blocks, "mean": 1.0, "spread": None, "n": 0})
    return {"metric": metric, "title": title, "look": look, "digits": digits, "cells": cells}


def render(data: Data) -> str:
    with style.canvas():
        rows = data["rows"]
        figure, grid = heat.sheet(data, len(rows), len(_PANELS), 1.9)
        described = []
        for line, row in zip(grid, rows, strict=True):
            for axes, panel in zip(line, row["panels"], strict=True):
                cells = panel["cells"]
                if not cells:
                    axes.set_visible(False)
                    continue
                means = [cell["mean"] for cell in cells]
                low, span = min(means), (max(means) - min(means)) or 1.0
                squares = [heat.Square(c["K"], c["b"], (c["mean"] - low) / span, _lines(c, panel["digits"])) for c in cells]
                heat.draw(axes, panel["title"], row["title"], squares, style.algorithm(panel["look"]).colour)
                words = ", ".join(f"K = {c['K']}, b = {c['b']}: {' '.join(_lines(c, panel['digits']))}" for c in cells)
                described.append(f"{row['title']}, {panel['title']}: {words}")
        return style.svg(figure, data["title"], "Heat maps. " + "; ".join(described) + ".")


def _lines(cell: OneCell, digits: int) -> tuple[str, ...]:
    if not cell["n"]:
        return "1", "by definition"
    spread = "" if cell["spread"] is None else f"± {cell['spread']:.{digits}f}, "
    return f"{cell['mean']:.{digits}f}", f"{spread}n = {cell['n']}"
