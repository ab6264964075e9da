"""How long does a training step take on each backend, over the convolutions alone, all timed in the same turns?"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NotRequired

from bench import readers
from bench.claims.estimate import ratios_in_turns
from bench.claims.evidence import finite
from bench.claims.gates import comparable
from bench.figures import rows, style
from bench.figures.paper import Paper, Plotted, identity, most, origin
from bench.quantity import size
from bench.record import Record
from bench.speed.rows import FLOOR, TIMING

name = "speed"

SHOWN_T = 10


class Row(rows.Row):
    """``peak``: live bytes in words, where they are counted."""

    backend: str
    ratio: float
    quartiles: list[float]
    peak: NotRequired[str]


class Data(Plotted):
    groups: list[rows.Group[Row]]


@dataclass(frozen=True)
class Over:
    """A row's time over that of the convolutions alone: median of the ratios turn by turn, and their quartiles."""

    name: str
    ratio: float
    low: float
    high: float
    record: Record


def over_the_floor(records: Iterable[Record]) -> dict[str, list[Over]]:
    """Return, by workload, its rows from fastest to slowest; the floor is the faster layout of the convolutions alone."""
    by_case: dict[tuple[str, ...], list[Record]] = {}
    for record in records:
        if record.case["probe"] in TIMING and record.status == "ok" and finite(record.value):
            by_case.setdefault((record.key, record.machine, record.device), []).append(record)
    found = {}
    for of_case in by_case.values():
        floors = [record for record in of_case if _is_floor(record)]
        if floors:
            floor = min(floors, key=_seconds)
            over = [_over(record, floor) for record in of_case if not _is_floor(record)]
            found[_heading(floor)] = sorted((row for row in over if row is not None), key=lambda row: (row.ratio, row.name))
    return found


def data(paper: Paper) -> Data | None:
    """The workloads of one machine with T = 10, or all if there are none; no trials, which name a number of turns."""
    timed = [r for r in paper.records if r.case["probe"] in TIMING and comparable(r, paper.gates)]
    timed = sorted((r for r in timed if r.status == "ok" and finite(r.value) and not r.case["options"]), key=identity)
    place = most(timed, _place, lambda r: r.key)
    if place is None:
        return None
    here = [r for r in timed if _place(r) == place]
    here = [r for r in here if r.case["T"] == SHOWN_T] or here
    groups = over_the_floor(here)
    if not any(groups.values()):
        return None
    peaks = {_row_of(r.case): r for r in paper.counted("peak_live_bytes")}
    batches = sorted({r.case["batch"] for r in peaks.values()})
    machine, device = place
    turns = sorted({_turns(r) for r in here})
    return {
        "title": "Time of one training step over the convolutions alone",
        "subtitle": (
            f"On {'a CPU' if device == 'cpu' else device} ({machine}). Every row in a process of its own, timed in turns; the "
            "convolutions alone (forward and both gradients, in the better layout) are 1. Dots: median of the ratios turn by "
            "turn; lines: their quartiles. At the right: that median"
            + (f", and peak live bytes at batch {' or '.join(map(str, batches))}, exact." if batches else ".")
        ),
        "origin": origin(paper, here, f"median of {' or '.join(map(str, turns))} turns"),
        "groups": [
            {"heading": heading, "rows": [_shown(row, peaks) for row in of_workload]} for heading, of_workload in groups.items()
        ],
    }


def render(data: Data) -> str:
    with style.canvas():
        figure = style.sheet(data, rows.height(data["groups"]))
        axes = figure.subplots()
        style.plain(axes, grid="x")
        axes.spines["left"].set_visible(False)
        placed = rows.lay(axes, data["groups"])
        ends = [end for _, row in placed for end in (row["ratio"], *row["quartiles"])]
        style.logarithmic(axes, "x", min(0.9, min(ends) / 1.1), max(ends) * 1.1, (0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16), base=2)
        axes.axvline(1, color=style.INK.light, lw=1)
        for y, row in placed:
            colour = style.algorithm(row.get("algorithm", "")).colour.light
            axes.plot(row["quartiles"], [y, y], "|-", color=colour, lw=1.4, ms=5, mew=1.4, solid_capstyle="butt")
            axes.plot([row["ratio"]], [y], style.backend(row["backend"]).marker, ms=6, mew=0, color=colour)
        rows.column(axes, 0.35, "ratio", placed, [f"{row['ratio']:.2f}" for _, row in placed])
        if any("peak" in row for _, row in placed):
            rows.column(axes, 1.05, "peak", placed, [row.get("peak", "–") for _, row in placed])
        axes.set_xlabel("time of a step / time of the convolutions alone (logarithmic)")
        said = "; ".join(f"{row['title']}: {row['ratio']:.2f}" for _, row in placed)
        return style.svg(figure, data["title"], f"Dots with quartiles; 1 is the convolutions alone. {said}.")


def _shown(row: Over, peaks: dict[tuple[object, ...], Record]) -> Row:
    about = row.record.detail
    algorithm, backend = str(about["algorithm"]), str(about["backend"])
    options = readers.table(about["options"], "options")
    words = ", ".join(f"{name} = {value}" for name, value in options.items())
    title = style.algorithm(algorithm).title + (f" ({words})" if words else "")
    counted = peaks.get(_row_of({**row.record.case, "algorithm": algorithm, "backend": backend, "options": options}))
    shown: Row = {
        "algorithm": algorithm,
        "backend": backend,
        "title": f"{title}, {style.backend(backend).title}",
        "ratio": row.ratio,
        "quartiles": [row.low, row.high],
    }
    return {**shown, "peak": size(counted.number)} if counted else shown


def _row_of(case: Mapping[str, object]) -> tuple[object, ...]:
    options = readers.table(case["options"], "options")
    return (case["network"], case["T"], case["algorithm"], case["backend"], *sorted(options.items()))


def _place(record: Record) -> tuple[str, str]:
    return record.machine, record.device


def _heading(record: Record) -> str:
    case = record.case
    return f"{case['network']}, T = {case['T']}, batch {case['batch']} ({_turns(record)} turns)"


def _turns(record: Record) -> int:
    return len(readers.numbers(record.detail["raw"], "raw"))


def _is_floor(record: Record) -> bool:
    return record.metric.startswith(FLOOR)


def _seconds(record: Record) -> float:
    return record.number


def _over(record: Record, floor: Record) -> Over | None:
    ratios: Sequence[float] = ratios_in_turns(record, floor)
    if len(ratios) < 2:
        return None
    low, ratio, high = statistics.quantiles(ratios, n=4)
    return Over(record.metric, ratio, low, high, record)
