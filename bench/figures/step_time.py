"""How long a training step takes, in units of native BPTT's in the same run."""

from __future__ import annotations

from typing import NotRequired

from bench import readers
from bench.figures import rows, style
from bench.figures.paper import Paper, Plotted, most, options, origin
from bench.figures.words import by_backend, title
from bench.record import Record
from bench.registry import PROBE_OPTIONS

name = "step_time"


class Row(rows.Row):
    """``ratio`` with its ``quartiles``, or what is ``lacking``."""

    ratio: NotRequired[float]
    quartiles: NotRequired[list[float]]
    predicted: NotRequired[float]


class Group(rows.Group[Row]):
    backend: str


class Data(Plotted):
    machine: str
    network: str
    T: int
    batch: int
    groups: list[Group]


def data(paper: Paper) -> Data | None:
    """Ratios of one machine, network, T and batch: of those with most cases."""
    everywhere = paper.measured("step_time_ratio")
    setting = most(everywhere, _setting, lambda r: r.key)
    timed = [r for r in everywhere if _setting(r) == setting]
    if setting is None:
        return None
    known = {r.key for r in timed}
    lost = {
        r.key: r for r in paper.failed("clock") if _setting(r) == setting and r.key not in known and r.status != "unsupported"
    }
    machine, network, T, batch = setting
    counted = [r for r in paper.counted("step_macs") if _setting(r)[1:] == setting[1:]]
    groups: dict[str, list[Row]] = {}
    for record in sorted([*timed, *lost.values()], key=by_backend):
        groups.setdefault(record.case["backend"], []).append(_row(record, counted))
    predicted = any("predicted" in row for of_backend in groups.values() for row in of_backend)
    turns = sorted({len(readers.numbers(r.detail["raw"], "raw")) for r in timed})
    return {
        "title": "Time of one training step",
        "subtitle": (
            f"Time ratios on a CPU ({machine}), batch {batch}, T = {T}, {network}: step over native BPTT's step, "
            "timed in turns. Dots: median of the ratios turn by turn; lines: their quartiles."
            + (" Hollow: what the multiply-accumulates alone would predict." if predicted else "")
        ),
        "origin": origin(paper, timed, f"median of {' or '.join(map(str, turns))} turns"),
        "machine": machine,
        "network": network,
        "T": T,
        "batch": batch,
        "groups": [
            {"heading": style.backend(backend).title, "backend": backend, "rows": of_backend}
            for backend, of_backend in groups.items()
        ],
    }


def render(data: Data) -> str:
    with style.canvas():
        groups = data["groups"]
        figure = style.sheet(data, rows.height(groups))
        axes = figure.subplots()
        style.plain(axes, grid="x")
        axes.spines["left"].set_visible(False)
        placed = rows.lay(axes, groups)
        shown = [x for _, row in placed if "ratio" in row for x in (row["ratio"], *row["quartiles"])]
        shown += [row["predicted"] for _, row in placed if "predicted" in row]
        low, high = min(shown) / 1.12, max(shown) * 1.12
        style.logarithmic(axes, "x", min(low, 0.85), max(high, 1.2), base=2)
        axes.axvline(1, color=style.INK.light, lw=1)
        mark_of = {id(row): style.backend(group["backend"]).marker for group in groups for row in group["rows"]}
        for y, row in placed:
            colour = style.algorithm(row["algorithm"]).colour.light
            if "predicted" in row:
                axes.plot([row["predicted"]], [y], "D", ms=6, mew=1.2, mfc=style.PAPER.light, mec=colour)
            if "ratio" in row:
                axes.plot(row["quartiles"], [y, y], "|-", color=colour, lw=1.4, ms=5, mew=1.4, solid_capstyle="butt")
                axes.plot([row["ratio"]], [y], mark_of[id(row)], ms=6, mew=0, color=colour)
        rows.lacking(axes, placed, 1.04)
        rows.column(axes, 0.35, "ratio", placed, [_two(row.get("ratio")) for _, row in placed])
        if any("predicted" in row for _, row in placed):
            rows.column(axes, 1.0, "predicted", placed, [_two(row.get("predicted")) for _, row in placed])
        axes.set_xlabel("time of a step / time of native BPTT's (logarithmic)")
        described = [
            f"{row['title']} on {group['heading']}: {_two(row.get('ratio'))}"
            + (f", predicted {_two(row['predicted'])}" if "predicted" in row else "")
            for group in groups
            for row in group["rows"]
        ]
        return style.svg(figure, data["title"], "Dots with quartiles; 1 is native BPTT. " + "; ".join(described) + ".")


def _setting(record: Record) -> tuple[str, str, int, int]:
    return (record.machine, record.case["network"], record.case["T"], record.case["batch"])


def _row(record: Record, counted: list[Record]) -> Row:
    row: Row = {"algorithm": record.case["algorithm"], "title": title(record, PROBE_OPTIONS)}
    if record.status == "ok":
        row["ratio"], row["quartiles"] = record.number, readers.numbers(record.detail["quartiles"], "quartiles")
    else:
        row["lacking"] = record.status
    predicted = _predicted(record, counted)
    if predicted is not None:
        row["predicted"] = predicted
    return row


def _predicted(record: Record, counted: list[Record]) -> float | None:
    """The multiply-accumulates of the same step over native BPTT's, where both were counted."""

    def macs(algorithm: str, backend: str, words: str) -> float | None:
        wanted = (algorithm, backend, words)
        return next((r.number for r in counted if (r.case["algorithm"], r.case["backend"], options(r)) == wanted), None)

    mine = macs(record.case["algorithm"], record.case["backend"], options(record, PROBE_OPTIONS))
    reference = macs("bptt", "native", "")
    return mine / reference if mine and reference else None


def _two(ratio: float | None) -> str:
    return "–" if ratio is None else f"{ratio:.2f}"
