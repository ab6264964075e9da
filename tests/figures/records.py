"""Hand-made records for figures: nothing is measured here."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from bench.case import Case
from bench.design_space import Cell, setting
from bench.figures import (
    accuracy_against_memory,
    accuracy_front,
    cosine_along_training,
    cosine_by_layer,
    fidelity_against_memory,
    fidelity_against_skipping,
    fidelity_front,
    longest_sequence,
    memory_against_batch,
    memory_against_T,
    quality_space,
    skipped_activity,
    speed,
    step_macs,
    step_time,
    training_curves,
)
from bench.figures.paper import Paper
from bench.record import Record
from bench.speed.rows import FLOOR

NETWORK = "vgg-sws/cifar10"
FIGURES = (cosine_by_layer, fidelity_against_memory, step_macs, step_time, training_curves)
OF_SKIPPING = (
    fidelity_against_skipping,
    fidelity_front,
    longest_sequence,
    memory_against_batch,
    memory_against_T,
    skipped_activity,
)
OF_CELLS = (quality_space, accuracy_front)
OF_ROWS = (speed,)
OF_TRAINING = (cosine_along_training,)
OF_DRAWS = (accuracy_against_memory,)


def record(
    metric: str,
    value: Any,
    probe: str,
    algorithm: str = "bptt",
    backend: str = "native",
    *,
    network: str = NETWORK,
    T: int = 6,
    batch: int = 128,
    dataset: str = "none",
    seed: int = 0,
    options: tuple[tuple[str, Any], ...] = (),
    detail: Mapping[str, Any] | None = None,
    status: Any = "ok",
    machine: str = "bench-1",
) -> Record:
    case = Case("ottt", probe, network, algorithm, backend, T, batch, dataset, "laptop", seed, options)
    return Record(
        case.as_dict(), case.key, metric, value, "", 1, detail or {}, status, "" if status == "ok" else "why", "torch",
        "digest", {}, "0123456789abcdef", machine, "cpu", 1, "float32", "r", "2031-05-06T07:08:09Z",
    )  # fmt: skip


def cost(algorithm: str, peak: int, backend: str = "native", forward: int = 10, **more: Any) -> list[Record]:
    roles = {"forward": forward * 10**9, "error to input": 20 * 10**9, "error to weight": 30 * 10**9}
    return [
        record("peak_live_bytes", peak, "cost", algorithm, backend, **more),
        record("step_macs", sum(roles.values()), "cost", algorithm, backend, detail=roles, **more),
        record("step_multiplications", 25 * 10**9, "cost", algorithm, backend, **more),
    ]


def gradient(algorithm: str, cosine: float, detail: Mapping[str, float], **more: Any) -> Record:
    more = {"batch": 16, "dataset": "cifar10", **more}
    return record("gradient_cosine", cosine, "gradient", algorithm, detail=detail, **more)


def clock(algorithm: str, backend: str, ratio: float, **more: Any) -> Record:
    raw = [ratio, ratio, 1.1 * ratio]
    detail = {"raw": raw, "raw native bptt": [1.0, 1.0, 1.1], "quartiles": [0.9 * ratio, 1.2 * ratio]}
    return record("step_time_ratio", ratio, "clock", algorithm, backend, detail=detail, **more)


def training(algorithm: str, accuracies: list[float], images: int, dataset: str = "cifar10", **more: Any) -> list[Record]:
    options = (("epochs", len(accuracies)), ("train_images", images))
    more = {"network": f"vgg-sws-small/{dataset}", "batch": 64, "dataset": dataset, "options": options, **more}
    epochs = [record(f"epoch {i}", a, "training", algorithm, **more) for i, a in enumerate(accuracies, 1)]
    about = {"train images": images}
    return [
        *epochs,
        record("test_accuracy", accuracies[-1], "training", algorithm, detail=about, **more),
        record("chance", 10.0, "training", algorithm, **more),
    ]


EVIDENCE = [
    *(
        record("gate", "pass", "equivalence", backend=backend, network=network)
        for network in (NETWORK, "vgg-sws-small/cifar10")
        for backend in ("spikingjelly-shipped", "snntorch")
    ),
    *cost("bptt", 4000),
    *cost("ottt-a", 1000),
    *cost("sltt", 800),
    *cost("ottt-a", 2000, "spikingjelly-shipped", forward=20),
    record("peak_live_bytes", None, "cost", "ottt-o", status="out of memory"),
    gradient("ottt-a", 0.75, {"0.weight": 0.5, "9.weight": 0.6, "10.weight": 0.9, "10.bias": 0.1}),
    gradient("sltt", 0.5, {"0.weight": 0.25, "9.weight": 0.3, "10.weight": 0.8}),
    gradient("ottt-o", 0.4, {"0.weight": 0.1}, T=4),
    clock("bptt", "native", 1.0),
    clock("sltt", "native", 1.5),
    clock("sltt", "snntorch", 2.0),
    record("step_time_ratio", None, "clock", "ottt-a", status="timeout"),
    record("step_time_ratio", None, "clock", "ottt-a", "snntorch", status="unsupported"),
    *training("bptt", [20.0, 30.0, 40.0], 4000),
    *training("sltt", [15.0, 25.0, 35.0], 4000),
    *training("sltt", [17.0, 29.0, 45.0], 4000, seed=1),
    *training("bptt", [11.0], 640),
    record(
        "test_accuracy", None, "training", "ottt-o", status="crashed", network="vgg-sws-small/cifar10", batch=64,
        dataset="cifar10", options=(("epochs", 3), ("train_images", 4000)),
    ),
]  # fmt: skip
LONG = "vgg5/cifar10"
SMALL: dict[str, Any] = {"network": "vgg5-small/cifar10", "T": 40, "batch": 32}
FALLING = (("lengths", "falling"),)


def skipping(p: int, segments: int, *more: tuple[str, Any]) -> tuple[tuple[str, Any], ...]:
    return (("p", p), ("segments", segments), *more)


def longest(algorithm: str, found: Mapping[int, tuple[int, str]], network: str = LONG, **more: Any) -> list[Record]:
    return [
        record(
            f"longest T on a {GiB} GiB card", T, "longest", algorithm, network=network, T=100, batch=64,
            detail={"GiB": GiB, "headroom GiB": 1.0, "found by": how}, **more,
        )
        for GiB, (T, how) in found.items()
    ]  # fmt: skip


def activity(p: int, spikes: list[int], kept: list[int], share: float, dataset: str = "cifar10") -> Record:
    detail = {"spikes": spikes, "kept": kept, "segments": 2}
    more = {**SMALL, "T": len(spikes), "network": f"small/{dataset}"}
    return record(
        "skipped_activity", share, "activity", "skipper", dataset=dataset, options=skipping(p, 2), detail=detail, **more
    )


SKIPPING = [
    *(r for T in (10, 100) for r in cost("bptt", 100 * T, network=LONG, T=T, batch=64)),
    *(r for T in (10, 100) for r in cost("checkpointed", 20 * T, network=LONG, T=T, batch=64)),
    *(r for T in (10, 100) for r in cost("checkpointed", 15 * T, network=LONG, T=T, batch=64, options=FALLING)),
    *(r for batch in (1, 16) for r in cost("bptt", 1000 + batch, network=LONG, T=100, batch=batch)),
    *cost("skipper", 7, network=LONG, T=100, batch=64, options=(("p", 25),)),
    *longest("bptt", {1: (0, "count"), 2: (10, "count"), 10: (100, "formula")}),
    *longest("skipper", {1: (5, "count"), 2: (30, "count"), 10: (2000, "formula")}, options=(("p", 50),)),
    *cost("bptt", 1000, **SMALL),
    *cost("checkpointed", 300, forward=20, **SMALL),
    *cost("replay", 200, forward=30, **SMALL),
    *cost("sltt", 100, **SMALL),
    *cost("tbptt", 400, **SMALL, options=(("K", 10),)),
    *cost("skipper", 350, forward=5, **SMALL, options=skipping(50, 2)),
    *(
        gradient(algorithm, cosine, {"0.weight": cosine}, **SMALL, options=options)
        for algorithm, cosine, options in (
            ("checkpointed", 1 - 1e-10, ()),
            ("replay", 1 - 1e-9, ()),
            ("sltt", 0.3, ()),
            ("tbptt", 0.2, (("K", 10),)),
            ("skipper", 0.99, skipping(10, 1)),
            ("skipper", 0.9, skipping(50, 1)),
            ("skipper", 0.95, skipping(50, 2)),
            ("skipper", 0.7, skipping(75, 2)),
            ("skipper", 0.8, skipping(50, 2, ("skipped", "leak"))),
        )
    ),
    activity(25, [1, 2, 3, 4], [1, 2, 3], 10.0),
    activity(50, [1, 2, 3, 4], [2, 3], 30.0),
    activity(50, [9, 0, 9], [0, 2], 0.0, "n-mnist"),
    record("skipped_activity", None, "activity", "skipper", status="crashed", dataset="cifar100"),
]
TINY: dict[str, Any] = {"network": "ttl-small/cifar10", "T": 4, "batch": 50}
ACCURACIES = {Cell(1, 1): [30.0, 34.0], Cell(1): [31.0, 31.0], Cell(4, 1): [40.0, 44.0], Cell(4): [41.0, 39.0]}
PEAKS = {Cell(1, 1): 250, Cell(1): 300, Cell(4, 1): 900, Cell(4): 1000}


def of_cell(cell: Cell, *more: tuple[str, Any]) -> dict[str, Any]:
    algorithm, own = setting(cell, TINY["T"])
    return {**TINY, "algorithm": algorithm, "options": tuple(sorted([*own.items(), *more]))}


def trained(cell: Cell, accuracies: list[float], dataset: str = "cifar10", lr: float = 0.1) -> list[Record]:
    about = {"train images": 4000, "test images": 1000}
    here = {**of_cell(cell, ("epochs", 3), ("lr", lr), ("optimizer", "adam")), "dataset": dataset, "detail": about}
    return [
        record(metric, value, "training", seed=seed, **here)
        for seed, accuracy in enumerate(accuracies)
        for metric, value in (("test_accuracy", accuracy), ("train_test_gap", accuracy / 10))
    ]


CELLS = [
    *(r for cell, accuracies in ACCURACIES.items() for r in trained(cell, accuracies)),
    *(record("peak_live_bytes", peak, "cost", **of_cell(cell, ("optimizer", "adam"))) for cell, peak in PEAKS.items()),
    record("peak_live_bytes", 1, "cost", **of_cell(Cell(1, 1))),  # another optimizer's
    record("gradient_cosine", 0.25, "gradient", dataset="cifar10", **of_cell(Cell(1, 1))),
    record("gradient_cosine", 0.75, "gradient", dataset="n-mnist", **of_cell(Cell(1, 1))),  # other samples
    *trained(Cell(4), [99.0], "n-mnist"),  # one cell is no space
    *trained(Cell(1, 1), [98.0], lr=0.2),  # nor is one of another recipe
    record("test_accuracy", None, "training", status="crashed", dataset="cifar10", **of_cell(Cell(2, 1))),
]


def row(metric: str, raw: list[float], T: int = 10, **more: Any) -> Record:
    """The seconds of a row of a workload."""
    algorithm, _, backend = metric.partition(" on ")
    about = {"raw": raw, "algorithm": algorithm, "backend": backend, "options": {}}
    return record(metric, sorted(raw)[len(raw) // 2], "speed", T=T, batch=2, detail=about, **more)


ROWS = [
    *(record("gate", "pass", "equivalence", backend=backend) for backend in ("native-fast", "snntorch")),
    *cost("bptt", 500, "native-fast", T=10),
    row(f"{FLOOR}, contiguous", [2.0, 2.0, 4.0]),
    row(f"{FLOOR}, channels last", [1.0, 1.0, 2.0]),
    row("bptt on snntorch", [3.0, 3.5, 6.0]),
    row("bptt on native-fast", [1.5, 1.5, 3.0]),
    row("bptt on spikingjelly", [0.1, 0.1, 0.2]),  # behind no gate
    record("sltt on native-fast", None, "speed", T=10, batch=2, detail={"refused": "why"}),
    record("none", None, "speed", T=10, status="crashed"),
    row(f"{FLOOR}, channels last", [7.0, 7.0, 7.0], T=4),
    row("bptt on native-fast", [7.0, 7.0, 7.0], T=4),
    row("bptt on native-fast", [9.0, 9.0], options=(("turns", 2),)),
]
ALONG = [
    record(
        f"gradient_cosine after {moment}", cosine, "alignment", algorithm, network="otpe-3x128/randman-k25", T=50, batch=64,
        dataset=dataset, seed=seed, options=(("after_batches", 100),),
        detail={"0.weight": cosine, "2.weight": "undefined" if moment else 0.9, "undefined": {"2.weight": 1}, "batches": 1},
    )
    for algorithm, cosine in (("otpe", 0.9), ("ostl", 0.5))
    for seed, dataset in ((0, "randman-rate"), (1, "randman-rate-1"))
    for moment in (0, 100)
]  # fmt: skip
DENSE: dict[str, Any] = {"network": "otpe-3x256/randman-k10", "T": 50}
DRAWS = [
    *(r for name, peak in (("bptt", 30 * 2**20), ("ostl", 40 * 2**20), ("otpe", 80 * 2**20)) for r in cost(name, peak, **DENSE)),
    *(
        record(
            "test_accuracy", accuracy + draw, "training", algorithm, **DENSE, dataset=f"randman-rate{f'-{draw}' if draw else ''}",
            seed=draw, options=(("epochs", 1),), detail={"train images": 640_000},
        )
        for algorithm, accuracy in (("bptt", 80.0), ("ostl", 81.0), ("otpe", 82.0))
        for draw in ((0, 1, 2) if algorithm != "ostl" else (0,))
    ),
    record("test_accuracy", 50.0, "training", "bptt", **DENSE, dataset="randman-time", options=(("epochs", 1),)),
    record("test_accuracy", None, "training", "otpe", **DENSE, dataset="randman-time", status="crashed"),
]  # fmt: skip
EVIDENCE_OF = {
    **dict.fromkeys(FIGURES, EVIDENCE),
    **dict.fromkeys(OF_SKIPPING, SKIPPING),
    **dict.fromkeys(OF_CELLS, CELLS),
    **dict.fromkeys(OF_ROWS, ROWS),
    **dict.fromkeys(OF_TRAINING, ALONG),
    **dict.fromkeys(OF_DRAWS, DRAWS),
}


def shown(figure: ModuleType, records: list[Record] | None = None, context: Mapping[str, Any] | None = None) -> dict[str, Any]:
    data: dict[str, Any] = figure.data(Paper("ottt", records or EVIDENCE_OF[figure], context=context or {}))
    return data
