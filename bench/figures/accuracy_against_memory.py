"""Test accuracy of short and full-length trainings against the memory of a training step, with what the paper reports."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

from bench.claims.estimate import of_seeds
from bench.claims.evidence import matches
from bench.figures import style
from bench.figures.paper import Paper, Plotted, natural, origin
from bench.figures.words import images
from bench.record import Record
from bench.registry import DATA_SETS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

name = "accuracy_against_memory"
_LEAST = 3  # algorithms of a panel
_GIVEN = ("train_images", "test_images", "epochs")  # options that say how long a training is
Length = tuple[tuple[str, object], ...]
Setting = tuple[str, str, int, int, str, str, Length]  # data set, network, T, batch, backend, machine, length


class Point(TypedDict):
    algorithm: str
    title: str
    memory: int  # bytes
    mean: float
    low: float | None  # 95 % interval over draws and seeds; None: one run
    high: float | None
    n: int
    reported: float | None


class Panel(TypedDict):
    title: str
    points: list[Point]


class Data(Plotted):
    panels: list[Panel]


def data(paper: Paper) -> Data | None:
    """Trainings by three algorithms or more whose step was counted, at the network, T and batch of the longest of them."""
    peaks = {_place(r): r for r in reversed(paper.usual(paper.counted("peak_live_bytes")))}
    groups: dict[Setting, dict[str, list[Record]]] = {}
    for record in paper.measured("test_accuracy"):
        if _place(record) in peaks:
            groups.setdefault(_setting(record), {}).setdefault(record.case["algorithm"], []).append(record)
    several = {setting: by for setting, by in groups.items() if len(by) >= _LEAST}
    ordered = sorted(several.items(), key=lambda item: (-_samples(item[1]), natural(repr(item[0]))))
    if not ordered:
        return None
    network, T, batch = ordered[0][0][1:4]
    used: list[Record] = []
    panels: list[Panel] = []
    for setting, by_algorithm in ordered:
        if setting[1:4] != (network, T, batch):
            continue
        points = []
        for algorithm in sorted(by_algorithm, key=style.algorithm_order):
            runs = by_algorithm[algorithm]
            peak = peaks[_place(runs[0])]
            used += [*runs, peak]
            points.append(_point(paper, runs, peak))
        panels.append({"title": f"{images(setting[0])}, {_samples(by_algorithm):,} training samples", "points": points})
    return {
        "title": "Test accuracy against the memory of a training step",
        "subtitle": (
            f"{network}, T = {T}, batch {batch}. Peak live bytes of a step that holds its traces; mean test accuracy over runs, "
            "bars: 95 % interval of the mean. Hollow: reported by the paper."
        ),
        "origin": origin(paper, used, "each point is a mean over n runs, on as many draws of the data where it is drawn"),
        "panels": panels,
    }


def _point(paper: Paper, runs: Sequence[Record], peak: Record) -> Point:
    found = of_seeds([record.number for record in runs])
    several = len(runs) > 1
    algorithm = runs[0].case["algorithm"]
    return {
        "algorithm": algorithm,
        "title": style.algorithm(algorithm).title,
        "memory": int(peak.number),
        "mean": found.value,
        "low": found.low if several else None,
        "high": found.high if several else None,
        "n": len(runs),
        "reported": _reported(paper, runs),
    }


def _reported(paper: Paper, runs: Sequence[Record]) -> float | None:
    """The value of the claim that these runs are the evidence of, where there is one."""
    for verdict in paper.verdicts:
        for part in verdict.claim.parts:
            select = part["select"]
            asks = "over" not in part and select["metric"] == "test_accuracy"
            if asks and verdict.claim.value is not None and any(matches(select, record.case) for record in runs):
                return verdict.claim.value
    return None


def _place(record: Record) -> tuple[str, str, str, int, int]:
    case = record.case
    return (case["network"], case["algorithm"], case["backend"], case["T"], case["batch"])


def _setting(record: Record) -> Setting:
    case = record.case
    length = tuple((option, case["options"][option]) for option in _GIVEN if option in case["options"])
    return (_drawn(case["dataset"]), case["network"], case["T"], case["batch"], case["backend"], record.machine, length)


def _drawn(dataset: str) -> str:
    """The data set of which another is a further draw: randman-rate of randman-rate-1."""
    base = re.sub(r"-\d+$", "", dataset)
    return base if base in DATA_SETS else dataset


def _samples(by_algorithm: Mapping[str, Sequence[Record]]) -> int:
    counts = [record.detail.get("train images", 0) for runs in by_algorithm.values() for record in runs]
    return max(count if isinstance(count, int) else 0 for count in counts)


def render(data: Data) -> str:
    with style.canvas():
        panels = data["panels"]
        figure = style.sheet(data, 2.1 * len(panels))
        grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True)
        for axes, panel in zip(grid.flat, panels, strict=True):
            _draw(axes, panel)
        grid[-1, 0].set_xlabel("peak live bytes of a training step, MiB")
        described = "; ".join(
            f"{panel['title']}: "
            + ", ".join(f"{p['title']} {p['mean']:.1f} % at {p['memory'] / 2**20:.1f} MiB" for p in panel["points"])
            for panel in panels
        )
        return style.svg(figure, data["title"], f"Accuracy over memory, by algorithm. {described}.")


def _draw(axes: Axes, panel: Panel) -> None:
    style.plain(axes)
    style.heading(axes, panel["title"])
    points = panel["points"]
    memory = [p["memory"] / 2**20 for p in points]
    axes.set_xscale("log")
    axes.set_xlim(min(memory) / 1.5, max(memory) * 1.5)
    ticks = style.round_ticks(min(memory) / 1.4, max(memory) * 1.4)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.tick_params(labelbottom=True)
    axes.set_ylabel("test accuracy, %")
    ends = []
    for p, x in zip(points, memory, strict=True):
        colour = style.algorithm(p["algorithm"]).colour
        low, high = (p["mean"] if end is None else end for end in (p["low"], p["high"]))
        bars = [[p["mean"] - low], [high - p["mean"]]]
        axes.errorbar([x], [p["mean"]], bars, fmt="o", ms=6, color=colour.light, elinewidth=0.9, capsize=2, zorder=3)
        said = f"{p['title']} {p['mean']:.1f}, n = {p['n']}"
        if p["reported"] is not None:
            axes.plot([x], [p["reported"]], "D", ms=6, mfc="none", mec=colour.light, mew=1.1, zorder=4)
            said += f"; reported {p['reported']:.1f}"
        ends.append((p["mean"], said, colour))
    axes.set_ylim(*axes.get_ylim())
    style.end_labels(axes, ends, 0.13)
