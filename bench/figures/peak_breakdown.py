"""What the peak of a training step is made of."""

from __future__ import annotations

from bench import readers
from bench.figures import rows, style
from bench.figures.paper import Paper, Plotted, origin
from bench.figures.words import by_backend, title
from bench.quantity import byte_unit, size
from bench.record import Record

name = "peak_breakdown"


class Row(rows.Row):
    bytes: dict[str, float]  # by category
    total: float


class Data(Plotted):
    network: str
    T: int
    batch: int
    groups: list[rows.Group[Row]]


def data(paper: Paper) -> Data | None:
    """Every peak of the main network."""
    peaks = sorted(paper.main("peak_live_bytes"), key=by_backend)
    if not peaks:
        return None
    first = peaks[0].case
    network, T, batch = first["network"], first["T"], first["batch"]
    groups: dict[str, list[Row]] = {}
    for record in peaks:
        groups.setdefault(record.case["backend"], []).append(_row(record))
    return {
        "title": "What the peak is made of",
        "subtitle": (
            f"Live tensors at the moment of most bytes in one training step: {network}, T = {T}, batch {batch}. "
            "State is what a time step passes to the next; a tensor of several categories counts in the first of them."
        ),
        "origin": origin(paper, peaks, "each row is one counted training step"),
        "network": network,
        "T": T,
        "batch": batch,
        "groups": [{"heading": style.backend(name).title, "rows": found} for name, found in groups.items()],
    }


def render(data: Data) -> str:
    with style.canvas():
        groups = data["groups"]
        figure = style.sheet(data, rows.height(groups) + 0.4)
        axes = figure.subplots()
        style.plain(axes, grid="x")
        axes.spines["left"].set_visible(False)
        placed = rows.lay(axes, groups)
        categories = [c for c in style.CATEGORIES if any(row["bytes"].get(c) for _, row in placed)]
        largest = max(row["total"] for _, row in placed)
        name_of_unit, unit = byte_unit(largest)
        for y, row in placed:
            left = 0.0
            for category in categories:
                width = row["bytes"].get(category, 0) / unit
                axes.barh(y, width, 0.66, left=left, color=style.CATEGORIES[category].colour.light)
                left += width
        axes.set_xlim(0, 1.02 * largest / unit)
        axes.set_xlabel(name_of_unit)
        rows.column(axes, 0.6, "peak", placed, [size(row["total"]) for _, row in placed])
        style.key(figure, [style.CATEGORIES[category] for category in categories])
        described = [f"{row['title']} on {group['heading']}: {size(row['total'])}" for group in groups for row in group["rows"]]
        return style.svg(figure, data["title"], "Stacked bars of bytes by category. " + "; ".join(described) + ".")


def _row(record: Record) -> Row:
    detail = record.detail
    split = {name: readers.number(detail[name], name) for name in style.CATEGORIES if detail.get(name)}
    return {"algorithm": record.case["algorithm"], "title": title(record), "bytes": split, "total": record.number}
