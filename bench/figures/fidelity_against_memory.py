"""Gradient fidelity given up for memory: the gradient's cosine to exact BPTT's over the memory saved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from bench.figures import style
from bench.figures.paper import Paper, Plotted, most, on_batch, options, origin
from bench.figures.words import by_algorithm, images, title
from bench.record import Record

name = "fidelity_against_memory"


class Point(TypedDict):
    algorithm: str
    backend: str
    title: str
    saved: float
    cosine: float


class Data(Plotted):
    dataset: str
    network: str
    T: int
    points: list[Point]


def data(paper: Paper) -> Data | None:
    """Algorithms whose gradient and whose cost are both known, on the network and data set with most of them.

    Memory saved = native BPTT's peak live bytes / the algorithm's, same network, T and batch.
    """
    costs = paper.counted("peak_live_bytes")
    pairs = [(g, *found) for g in paper.usual(paper.gradients()) if (found := _memory(paper, costs, g))]
    setting = most((g for g, *_ in pairs), on_batch, lambda g: (g.case["algorithm"], g.case["backend"], options(g)))
    if setting is None:
        return None
    here = sorted((pair for pair in pairs if on_batch(pair[0]) == setting), key=lambda pair: by_algorithm(pair[0]))
    dataset, network, T, batch = setting
    points: list[Point] = [
        {
            "algorithm": g.case["algorithm"],
            "backend": g.case["backend"],
            "title": title(g),
            "saved": reference.number / mine.number,
            "cosine": g.number,
        }
        for g, mine, reference in here
    ]
    used = {id(record): record for pair in here for record in pair}
    return {
        "title": "Gradient fidelity against memory saved",
        "subtitle": (
            f"Cosine to exact BPTT's gradient: {network} at initialisation, same {batch} images of {images(dataset)}. "
            f"Memory: peak live bytes of a training step at batch {here[0][1].case['batch']}; both at T = {T}."
        ),
        "origin": origin(paper, list(used.values()), "each point is one batch and one counted step"),
        "dataset": dataset,
        "network": network,
        "T": T,
        "points": [
            {"algorithm": "bptt", "backend": "native", "title": "BPTT", "saved": 1.0, "cosine": 1.0},
            *points,
        ],
    }


def render(data: Data) -> str:
    with style.canvas():
        figure = style.sheet(data, 3.0)
        axes = figure.subplots()
        style.plain(axes)
        points = data["points"]
        widest, lowest = max(p["saved"] for p in points), min(p["cosine"] for p in points)
        backends = {p["backend"] for p in points}
        axes.set_xlim(1 - 0.06 * widest, 1.08 * widest)
        span = max(1 - lowest, 0.02)
        axes.set_ylim(lowest - 0.12 * span, 1 + 0.08 * span)
        few = len(points) <= 6
        between = "\n" if few else ": "
        ends = []
        for p in points:
            look, mark = style.algorithm(p["algorithm"]), style.backend(p["backend"])
            axes.plot([p["saved"]], [p["cosine"]], mark.marker, ms=9, mew=0.8, mec=style.PAPER.light, color=look.colour.light)
            where = f" on {mark.title}" if len(backends) > 1 else ""
            ends.append((p["cosine"], f"{p['title']}{where}{between}{p['saved']:.2f} ×, {p['cosine']:.2f}", look.colour))
        style.end_labels(axes, ends, 0.14 if few else 0.075)
        for p in points:
            axes.plot(
                [p["saved"], axes.get_xlim()[1]], [p["cosine"]] * 2, lw=0.7, ls=(0, (2, 2)),
                color=style.algorithm(p["algorithm"]).colour.light, zorder=1,
            )  # fmt: skip
        axes.set_xlabel("memory saved: peak of native BPTT / peak of the algorithm")
        axes.set_ylabel("cosine to BPTT's gradient")
        described = [f"{p['title']}: {p['saved']:.2f} times less memory, cosine {p['cosine']:.2f}" for p in points]
        return style.svg(figure, data["title"], "Memory saved and cosine to BPTT's gradient. " + "; ".join(described) + ".")


def _memory(paper: Paper, costs: list[Record], gradient: Record) -> tuple[Record, Record] | None:
    """Peaks of a gradient's algorithm and of native BPTT, at the T of the claims, which must be the gradient's too."""
    case = gradient.case
    if case["T"] != paper.T_of(case["network"]):
        return None
    alike = [r for r in costs if (r.case["network"], r.case["T"]) == (case["network"], case["T"])]
    batch = most(alike, lambda r: r.case["batch"], lambda r: r.key)

    def peak(algorithm: str, backend: str, options: Mapping[str, object]) -> Record | None:
        wanted = (algorithm, backend, options, batch)
        found = (r for r in alike if (r.case["algorithm"], r.case["backend"], r.case["options"], r.case["batch"]) == wanted)
        return next(found, None)

    mine, reference = peak(case["algorithm"], case["backend"], case["options"]), peak("bptt", "native", {})
    return (mine, reference) if mine and reference else None
