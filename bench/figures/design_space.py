"""Truncation length K against block size b: what every cell's cost changes against BPTT, as heat maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from bench import readers
from bench.figures import heat, inverse_problem, style
from bench.figures.paper import Paper, Plotted, origin
from bench.record import Record
from bench.setting_search import CONVENTIONS, Convention, Report, Setting, settings

name = "design_space"
_COLUMNS = 2
_SHOWN = ("peak live bytes", "every operator's reads and writes", "all products", "back-propagated errors alone")


class Panel(TypedDict):
    title: str
    unit: str
    cells: list[list[float]]  # K, b, change
    reported: float | None
    nearest: list[list[float]]  # K, b


class Data(Plotted):
    network: str
    T: int
    panels: list[Panel]


def data(paper: Paper) -> Data | None:
    """The network and T with most cells (K, b), other options at their defaults; one panel per quantity.

    Where the paper reports a change of the quantity, the cells nearest to it are named (``nearest``), all that are as near.
    """
    records = [r for metric in sorted({c.metric for c in CONVENTIONS}) for r in paper.counted(metric)]
    grid = [s for s in settings(records, "ttl-bptt") if set(dict(s.options)) == {"K", "b"}]
    if not grid:
        return None
    place = max(sorted({_place(s) for s in grid}), key=lambda p: sum(_place(s) == p for s in grid))
    here = [s for s in grid if _place(s) == place]
    if any(len(set(lengths)) < 2 for lengths in zip(*map(_cut, here), strict=True)):
        return None  # one row of cells is no space
    network, T, batch = place
    reports = inverse_problem.reported(paper)
    panels = [
        _panel(convention, here, reports)
        for convention in CONVENTIONS
        if convention.name in _SHOWN and all(convention in s.changes for s in here)
    ]
    outlined = "; outlined: the cells nearest to what is reported (K and b are not)" if reports else ""
    return {
        "title": "The design space of truncation and blocks: cost",
        "subtitle": (
            f"Change against BPTT in per cent over truncation length K (K = T: none) and layers of neurons per block b; "
            f"{network}, T = {T}, batch {batch}, counted in every cell{outlined}."
        ),
        "origin": origin(paper, [r for r in records if _at(r) == place], "each cell is one counted step"),
        "network": network,
        "T": T,
        "panels": panels,
    }


def _panel(convention: Convention, here: Sequence[Setting], reports: Mapping[str, Report]) -> Panel:
    cells = [[*_cut(s), round(s.changes[convention], 1)] for s in here]
    report = reports.get(convention.quantity)
    off = [round(abs(value - report.change), 3) for *_, value in cells] if report else []
    return {
        "title": f"{convention.quantity}: {convention.name}",
        "unit": "%",
        "cells": cells,
        "reported": report.change if report else None,
        "nearest": [cell[:2] for cell, distance in zip(cells, off, strict=False) if distance == min(off)],
    }


def _cut(setting: Setting) -> tuple[int, int]:
    options = dict(setting.options)
    return readers.whole(options["K"], "K"), readers.whole(options["b"], "b")


def _place(setting: Setting) -> tuple[str, int, int]:
    return (setting.network, setting.T, setting.batch)


def _at(record: Record) -> tuple[str, int, int]:
    return (record.case["network"], record.case["T"], record.case["batch"])


def render(data: Data) -> str:
    with style.canvas():
        panels = data["panels"]
        figure, grid = heat.sheet(data, -(-len(panels) // _COLUMNS), _COLUMNS, 1.9)
        described = []
        places = [axes for line in grid for axes in line]
        for spare in places[len(panels) :]:
            spare.set_visible(False)
        for axes, panel in zip(places, panels, strict=False):
            squares = [
                heat.Square(int(K), int(b), -value / 100, (f"{value:+.3g}",), [K, b] in panel["nearest"])
                for K, b, value in panel["cells"]
            ]
            best = min(panel["cells"], key=lambda cell: (cell[2], cell[0], cell[1]))
            words, note = f"{panel['title']}: least {best[2]:+g} % at K = {best[0]}, b = {best[1]}", ""
            if panel["reported"] is not None:
                reached = next(square.lines[0] for square in squares if square.marked)
                note = f"reported {panel['reported']:g} %, nearest {reached} %"
                words += f"; {note}: " + " and ".join(f"K = {K}, b = {b}" for K, b in panel["nearest"])
            heat.draw(axes, panel["title"], note, squares, style.algorithm("ttl-bptt").colour)
            described.append(words)
        return style.svg(figure, data["title"], "Heat maps. " + "; ".join(described) + ".")
