"""How well the trained networks do, epoch by epoch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from statistics import fmean
from typing import TypedDict

from bench import readers
from bench.figures import style
from bench.figures.paper import Paper, Plotted, origin
from bench.figures.words import images, shared, title
from bench.record import Record
from bench.registry import PROBE_OPTIONS

name = "training_curves"
_PANELS = 2
_SIDE_BY_SIDE = 5  # lines: panels with more are placed below one another, because their names need the width


class Line(TypedDict):
    algorithm: str
    backend: str
    title: str
    epochs: list[int]
    accuracy: list[float]  # mean over the seeds
    low: list[float]
    high: list[float]
    seeds: int


Panel = TypedDict(
    "Panel",
    {
        "what": str,
        "dataset": str,
        "images title": str,
        "images": int,
        "network": str,
        "T": int,
        "batch": int,
        "chance": float | None,
        "lines": list[Line],
    },
)
LineKey = tuple[tuple[int, str], tuple[int, str], str]  # algorithm, backend, title
Setting = tuple[str, str, str, int, int, tuple[object, ...]]  # machine, data set, network, T, batch, options of the probe


class Data(Plotted):
    panels: list[Panel]


def data(paper: Paper) -> Data | None:
    """For each data set and network the trainings on most images, of two epochs or more; of these the two largest.

    Seeds are averaged. A training of a single epoch has no curve (see accuracy_against_memory).
    """
    epochs = _epochs(paper)
    longer = {_run(epoch) for epoch in epochs if epoch.metric != "epoch 1"}
    finals = [r for r in paper.measured("test_accuracy") if _run(r) in longer]
    by_setting: dict[Setting, list[Record]] = {}
    for record in finals:
        by_setting.setdefault(_setting(record), []).append(record)
    largest: dict[tuple[str, str], list[Record]] = {}
    for setting, records in sorted(by_setting.items(), key=lambda item: (_weight(item[1]), repr(item[0]))):
        largest[setting[1], setting[2]] = records
    if not largest:
        return None
    chosen = sorted(largest.values(), key=_weight, reverse=True)[:_PANELS]
    chance = {_run(r): r.number for r in paper.measured("chance")}
    panels = [_panel(records, epochs, chance) for records in chosen]
    used = [r for r in [*epochs, *finals] if _run(r) in {_run(final) for records in chosen for final in records}]
    lost = sorted({f"{title(r, PROBE_OPTIONS)} ({r.status})" for r in paper.failed("training") if _lost(r, chosen)})
    return {
        "title": "Test accuracy during training",
        "subtitle": "; ".join(p["what"] for p in panels) + (f". Without a result: {', '.join(lost)}" if lost else "") + ".",
        "origin": origin(paper, used, _seeds(panels)),
        "panels": panels,
    }


def render(data: Data) -> str:
    with style.canvas():
        from matplotlib.ticker import MaxNLocator

        panels = data["panels"]
        deep = len(panels) if max(len(panel["lines"]) for panel in panels) > _SIDE_BY_SIDE else 1
        figure = style.sheet(data, 3.0 if deep == 1 else 2.4 * deep)
        all_axes = figure.subplots(deep, len(panels) // deep, squeeze=False).flat
        described = []
        for axes, panel in zip(all_axes, panels, strict=True):
            style.plain(axes, grid="y")
            if len(panels) > 1:
                style.heading(axes, f"{panel['images title']}, {panel['images']:,} images")
            ends = []
            for line in panel["lines"]:
                look, mark = style.algorithm(line["algorithm"]), style.backend(line["backend"])
                axes.fill_between(line["epochs"], line["low"], line["high"], color=look.colour.light, alpha=0.15, lw=0)
                axes.plot(
                    line["epochs"], line["accuracy"], color=look.colour.light, lw=1.8, ls=mark.dash,
                    marker=mark.marker if len(line["epochs"]) <= 30 else "", ms=5, mew=0.8, mec=style.PAPER.light,
                )  # fmt: skip
                ends.append((line["accuracy"][-1], f"{line['title']} {line['accuracy'][-1]:.1f} %", look.colour))
            if panel["chance"] is not None:
                axes.axhline(panel["chance"], color=style.MUTED.light, lw=1, ls=":")
                ends.append((panel["chance"], f"chance {panel['chance']:g} %", style.MUTED))
            last = max(epoch for line in panel["lines"] for epoch in line["epochs"])
            axes.set_xlim(1 - 0.04 * last if last > 1 else 0, last * 1.02)  # a single epoch: an axis from 0 to 1
            axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
            axes.set_xlabel("epoch")
            axes.set_ylabel("test accuracy (%)" if deep > 1 or panel is panels[0] else "")
            axes.set_ylim(*axes.get_ylim())
            style.end_labels(axes, ends, 0.065 if deep == 1 else 0.08)
            described.append(f"{panel['what']}: " + ", ".join(text for _, text, _ in ends))
        return style.svg(figure, data["title"], "Accuracy after the last epoch. " + "; ".join(described) + ".")


def _setting(record: Record) -> Setting:
    """What must be equal for two trainings to share a panel."""
    case = record.case
    loop = tuple(case["options"].get(option) for option in PROBE_OPTIONS)
    return (record.machine, case["dataset"], case["network"], case["T"], case["batch"], loop)


def _images(record: Record) -> int:
    """Training images."""
    count = record.detail.get("train images") or record.case["options"].get("train_images") or 0
    return readers.whole(count, "train images")


def _weight(records: list[Record]) -> tuple[int, int, int]:
    """Most images first; then most algorithms, then most epochs."""
    epochs = max(readers.whole(r.case["options"].get("epochs", 1), "epochs") for r in records)
    return max(map(_images, records)), len({r.case["algorithm"] for r in records}), epochs


def _run(record: Record) -> tuple[str, str]:
    return record.machine, record.key


def _epochs(paper: Paper) -> list[Record]:
    return [
        record
        for metric in sorted({r.metric for r in paper.records if re.fullmatch(r"epoch \d+", r.metric)})
        for record in paper.measured(metric)
    ]


def _panel(finals: list[Record], epochs: list[Record], chance: dict[tuple[str, str], float]) -> Panel:
    case, count = finals[0].case, max(map(_images, finals))
    tested = max(readers.whole(r.detail.get("test images", 0), "test images") for r in finals)
    runs = {_run(r) for r in finals}
    lines: dict[LineKey, list[Record]] = {}
    common = shared(finals)
    options = "".join(f", {name} = {value}" for name, value in common.items() if name not in PROBE_OPTIONS)
    alike = {*PROBE_OPTIONS, *common}
    for record in epochs:
        if _run(record) in runs:
            lines.setdefault(_line_of(record, alike), []).append(record)
    return {
        "what": (
            f"{images(case['dataset'])}, {count:,} training images, {_tested(tested)}{case['network']}, T = {case['T']}, "
            f"batch {case['batch']}{options}"
        ),
        "dataset": case["dataset"],
        "images title": images(case["dataset"]).split(" (")[0],
        "images": count,
        "network": case["network"],
        "T": case["T"],
        "batch": case["batch"],
        "chance": next((chance[run] for run in sorted(runs) if run in chance), None),
        "lines": [_line(lines[key], alike) for key in sorted(lines)],
    }


def _tested(count: int) -> str:
    return f"{count:,} to test, " if count else ""


def _line_of(record: Record, alike: set[str]) -> LineKey:
    case = record.case
    return (
        style.algorithm_order(case["algorithm"]),
        style.backend_order(case["backend"]),
        title(record, alike),
    )


def _line(records: list[Record], alike: set[str]) -> Line:
    """Mean, least and greatest accuracy over the seeds, by epoch."""
    by_epoch: dict[int, list[float]] = {}
    for record in records:
        by_epoch.setdefault(int(record.metric.removeprefix("epoch ")), []).append(record.number)
    epochs, case = sorted(by_epoch), records[0].case
    backend = "" if case["backend"] == "native" else f", {style.backend(case['backend']).title}"
    return {
        "algorithm": case["algorithm"],
        "backend": case["backend"],
        "title": title(records[0], alike) + backend,
        "epochs": epochs,
        "accuracy": [fmean(by_epoch[e]) for e in epochs],
        "low": [min(by_epoch[e]) for e in epochs],
        "high": [max(by_epoch[e]) for e in epochs],
        "seeds": len({r.case["seed"] for r in records}),
    }


def _lost(record: Record, chosen: Iterable[list[Record]]) -> bool:
    """Whether a failed training would have been a line of a panel."""
    return record.status != "unsupported" and _setting(record) in {_setting(r) for records in chosen for r in records}


def _seeds(panels: list[Panel]) -> str:
    seeds = sorted({line["seeds"] for panel in panels for line in panel["lines"]})
    if seeds == [1]:
        return "each line is one seed"
    return f"each line is the mean of {' or '.join(map(str, seeds))} seeds, each band their range"
