"""Figures of published against counted memory, and of the gradient against the leak, from made records."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from types import ModuleType
from typing import Any

import pytest

from bench.case import Case
from bench.claims import Claim, Verdict
from bench.figures import FIGURES, cosine_against_leak, published_against_counted
from bench.figures.paper import Paper
from bench.record import Record

GIB = 2**30
NETWORK = "resnet18/cifar10"


def record(metric: str, value: Any, case: Case, status: Any = "ok") -> Record:
    return Record(
        case.as_dict(), case.key, metric, value, "", 1, {}, status, "", "torch", "digest", {}, "0123456789abcdef", "bench-1",
        "cpu", 1, "float32", "r", "2031-05-06T07:08:09Z",
    )  # fmt: skip


def counted(algorithm: str, value: float | None, network: str = NETWORK, status: Any = "ok") -> Record:
    case = Case("sltt", "cost-half", network, algorithm, "native", 6, 128)
    return record("peak_live_bytes_half", value, case, status)


def reported(algorithm: str, gigabytes: float) -> Verdict:
    select = {
        "probe": "cuda-memory-half", "metric": "peak_reserved_bytes", "network": NETWORK, "algorithm": algorithm,
        "backend": "native", "T": 6, "batch": 128,
    }  # fmt: skip
    claim = Claim(
        "sltt", f"memory-{algorithm}", "a table", "so much", "memory", "GB", f"{gigabytes:.2f}", "abstract", "ABSTRACT",
        value=gigabytes, tolerance=1.0, measure={"rule": "within", "select": select},
    )  # fmt: skip
    return Verdict(claim, "not attempted", None, "needs a GPU")


def gradient(algorithm: str, leak: str, value: float, seed: int = 0, **options: Any) -> Record:
    name = f"small-{leak}/cifar10"
    case = Case("sltt", "gradient", name, algorithm, "native", 6, 64, "cifar10", "laptop", seed, tuple(options.items()))
    return record("gradient_cosine", value, case)


MEMORY = Paper(
    "sltt", [counted("sltt", GIB // 2), counted("bptt", 2 * GIB), counted("bptt", 5 * GIB, "vgg-sws/cifar10")],
    [reported("bptt", 3.0), reported("sltt", 1.25)],
)  # fmt: skip
LEAKS = Paper(
    "sltt",
    [
        *(gradient("sltt", leak, value, seed) for leak, value in (("0.5", 0.8), ("0.25", 0.9)) for seed in (0, 1)),
        gradient("bptt", "0.5", 1.0),
        gradient("ottt-a", "0.5", 0.9),
        gradient("sltt", "0.5", 0.1, after_batches=100),
        record("gradient_cosine", 0.3, Case("sltt", "gradient", NETWORK, "sltt", "native", 6, 64, "cifar10")),
    ],
)
DRAWN = [(published_against_counted, MEMORY), (cosine_against_leak, LEAKS)]


def test_rows_have_counted_and_published_memory() -> None:
    data = published_against_counted.data(MEMORY)
    assert data is not None
    rows = {group["heading"]: group["rows"] for group in data["groups"]}
    both, ours = rows[f"{NETWORK}, T = 6, batch 128"], rows["vgg-sws/cifar10, T = 6, batch 128"]
    assert [(row["algorithm"], row["counted"], row["published"]) for row in both] == [
        ("bptt", 2 * GIB, 3.0), ("sltt", GIB // 2, 1.25),
    ]  # fmt: skip
    assert ["published" in row for row in ours] == [False]
    assert both[0]["most"] == pytest.approx(2.2 * GIB + GIB)


def test_memory_figure_without_counts_is_none() -> None:
    assert published_against_counted.data(Paper("sltt", [counted("bptt", None, status="failed")], MEMORY.verdicts)) is None
    assert published_against_counted.data(Paper("sltt", MEMORY.records)) is None


def test_lines_over_the_leak_use_initial_weights_of_equal_networks() -> None:
    data = cosine_against_leak.data(LEAKS)
    assert data is not None
    assert (data["network"], data["dataset"], data["T"], data["batch"]) == ("small", "cifar10", 6, 64)
    assert data["lines"] == [{"algorithm": "sltt", "title": "SLTT", "points": [(0.25, [0.9, 0.9]), (0.5, [0.8, 0.8])]}]


def test_leak_figure_of_one_leak_is_none() -> None:
    assert cosine_against_leak.data(Paper("sltt", [gradient("sltt", "0.5", 0.8)])) is None
    assert cosine_against_leak.data(Paper("sltt", [])) is None


@pytest.mark.parametrize(("figure", "paper"), DRAWN, ids=["memory", "leak"])
def test_data_are_json_and_drawings_have_the_same_bytes(figure: ModuleType, paper: Paper) -> None:
    data = figure.data(paper)
    turned = Paper(paper.name, paper.records[::-1], paper.verdicts[::-1])
    assert json.dumps(data) == json.dumps(figure.data(turned))
    drawing = figure.render(data)
    assert drawing == figure.render(data)
    ET.fromstring(drawing)
    assert figure in FIGURES
