"""How far each layer's gradient is from exact BPTT's, over depth."""

from __future__ import annotations

from typing import TypedDict

from bench.figures import style
from bench.figures.paper import Paper, Plotted, most, natural, on_batch, options, origin
from bench.figures.words import by_algorithm, images, title
from bench.record import Record

name = "cosine_by_layer"


class Line(TypedDict):
    algorithm: str
    backend: str
    title: str
    cosine: list[float | None]
    all: float


class Data(Plotted):
    dataset: str
    network: str
    T: int
    batch: int
    layers: list[str]
    lines: list[Line]


def data(paper: Paper) -> Data | None:
    """Weights of the network and data set on which most algorithms were compared, in the order of their names."""
    everywhere = [r for r in paper.usual(paper.gradients()) if _weights(r)]
    setting = most(everywhere, on_batch, lambda r: (r.case["algorithm"], options(r)))
    if setting is None:
        return None
    here = sorted((r for r in everywhere if on_batch(r) == setting), key=by_algorithm)
    dataset, network, T, batch = setting
    layers = sorted({layer for r in here for layer in _weights(r)}, key=natural)
    backends = {r.case["backend"] for r in here}
    return {
        "title": "Gradient fidelity by layer",
        "subtitle": (
            f"Cosine of each weight's gradient to exact BPTT's: {network} at initialisation, T = {T}, "
            f"same {batch} images of {images(dataset)}. In brackets: all parameters as one vector, for which "
            "it also matters how the gradient's length is shared among layers."
        ),
        "origin": origin(paper, here, "each line is one batch"),
        "dataset": dataset,
        "network": network,
        "T": T,
        "batch": batch,
        "layers": layers,
        "lines": [
            {
                "algorithm": r.case["algorithm"],
                "backend": r.case["backend"],
                "title": title(r) + (f", {style.backend(r.case['backend']).title}" if len(backends) > 1 else ""),
                "cosine": [_weights(r).get(layer) for layer in layers],
                "all": r.number,
            }
            for r in here
        ],
    }


def render(data: Data) -> str:
    with style.canvas():
        from matplotlib.ticker import MaxNLocator

        figure = style.sheet(data, 3.0)
        axes = figure.subplots()
        style.plain(axes, grid="y")
        depth = range(1, len(data["layers"]) + 1)
        ends = []
        exact = style.algorithm("bptt").colour.light
        axes.axhline(1, color=exact, lw=1.2)
        axes.annotate("BPTT (exact)", (1, 1), (0, 3), textcoords="offset points", size=7.5, color=exact)
        for line in data["lines"]:
            look, mark = style.algorithm(line["algorithm"]), style.backend(line["backend"])
            cosine = [float("nan") if c is None else c for c in line["cosine"]]
            axes.plot(
                depth, cosine, color=look.colour.light, ls=mark.dash, lw=1.8, marker=mark.marker, ms=5, mew=0.8,
                mec=style.PAPER.light, clip_on=False,
            )  # fmt: skip
            last = next(c for c in reversed(line["cosine"]) if c is not None)
            ends.append((last, f"{line['title']} ({line['all']:.2f})", look.colour))
        lowest = min(c for line in data["lines"] for c in line["cosine"] if c is not None)
        span = max(1 - lowest, 0.02)
        axes.set_ylim(lowest - 0.08 * span, 1 + 0.09 * span)
        axes.set_xlim(0.8, len(depth) + 0.2)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))
        axes.set_xlabel("layer with weights, from input to output")
        axes.set_ylabel("cosine to BPTT's gradient")
        style.end_labels(axes, ends, 0.065)
        described = [f"{line['title']}: " + ", ".join(_two(c) for c in line["cosine"]) for line in data["lines"]]
        return style.svg(figure, data["title"], "Cosine by layer, input first. " + "; ".join(described) + ".")


def _weights(record: Record) -> dict[str, float]:
    return {layer: c for layer, c in record.detail.items() if layer.endswith("weight") and isinstance(c, int | float)}


def _two(cosine: float | None) -> str:
    return "none" if cosine is None else f"{cosine:.2f}"
