"""What figures take from records: the right numbers, nothing from failures, and the same bytes every time."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any, ClassVar

import pytest

import bench.figures
from bench.case import Case
from bench.claims import VERDICTS, Claim, Verdict
from bench.claims.claim import Part
from bench.design_space import Cell, setting
from bench.figures import (
    accuracy_front,
    cosine_by_layer,
    fidelity_against_memory,
    fidelity_against_skipping,
    fidelity_front,
    longest_sequence,
    memory_against_batch,
    memory_against_T,
    quality_space,
    reported_against_measured,
    skipped_activity,
    speed,
    step_macs,
    step_time,
    style,
    training_curves,
)
from bench.figures.paper import Paper
from bench.record import Record
from bench.registry import ALGORITHMS
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
EVIDENCE_OF = {
    **dict.fromkeys(FIGURES, EVIDENCE),
    **dict.fromkeys(OF_SKIPPING, SKIPPING),
    **dict.fromkeys(OF_CELLS, CELLS),
    **dict.fromkeys(OF_ROWS, ROWS),
}
FAILED_ONLY = [r for r in [*EVIDENCE, *SKIPPING, *CELLS, *ROWS] if r.status != "ok"]


def shown(figure: ModuleType, records: list[Record] | None = None, context: Mapping[str, Any] | None = None) -> dict[str, Any]:
    data: dict[str, Any] = figure.data(Paper("ottt", records or EVIDENCE_OF[figure], context=context or {}))
    return data


@pytest.mark.parametrize("figure", [*FIGURES, *OF_SKIPPING, *OF_CELLS, *OF_ROWS], ids=lambda figure: figure.name)
class TestEveryFigure:
    def test_figure_without_records_is_none(self, figure: ModuleType) -> None:
        assert figure.data(Paper("ottt", [])) is None

    def test_figure_of_failed_records_alone_is_none(self, figure: ModuleType) -> None:
        assert figure.data(Paper("ottt", FAILED_ONLY)) is None

    def test_data_are_json_and_do_not_depend_on_the_order_of_records(self, figure: ModuleType) -> None:
        data = shown(figure)
        assert json.loads(json.dumps(data)) == data
        assert shown(figure, EVIDENCE_OF[figure][::-1]) == data

    def test_data_name_title_machines_and_commit(self, figure: ModuleType) -> None:
        data = shown(figure)
        assert data["title"]
        assert data["origin"]["machines"] == ["bench-1"]
        assert "0123456789" in data["origin"]["caption"]

    def test_drawing_is_valid_svg_with_the_same_bytes_and_no_date(self, figure: ModuleType) -> None:
        data = shown(figure)
        text = figure.render(data)
        assert text == figure.render(json.loads(json.dumps(data)))
        assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert not re.search(r"\d{4}-\d\d-\d\d|dc:date", text)

    def test_figure_is_part_of_every_report(self, figure: ModuleType) -> None:
        assert figure in bench.figures.FIGURES


def test_figures_omit_backends_without_a_passed_gate() -> None:
    assert len(shown(step_macs)["groups"]) == 2
    closed = record("gate", "fail", "equivalence", "sltt", backend="spikingjelly-shipped")
    assert len(shown(step_macs, [*EVIDENCE, closed])["groups"]) == 1  # of two gates one is closed
    unknown = [r for r in EVIDENCE if r.case["probe"] != "equivalence"]
    assert {group["backend"] for group in shown(step_time, unknown)["groups"]} == {"native"}


class TestFidelityAgainstMemory:
    def test_points_are_memory_saved_and_cosine(self) -> None:
        points = {p["algorithm"]: (p["saved"], p["cosine"]) for p in shown(fidelity_against_memory)["points"]}
        assert points == {"bptt": (1.0, 1.0), "ottt-a": (4.0, 0.75), "sltt": (5.0, 0.5)}

    def test_no_point_without_a_gradient(self) -> None:
        only_sltt = [r for r in EVIDENCE if r.metric != "gradient_cosine" or r.case["algorithm"] == "sltt"]
        algorithms = [p["algorithm"] for p in shown(fidelity_against_memory, only_sltt)["points"]]
        assert algorithms == ["bptt", "sltt"]

    def test_no_point_without_the_memory_of_the_same_network(self) -> None:
        elsewhere = [*cost("bptt", 4000), *cost("sltt", 800), gradient("sltt", 0.5, {}, network="vgg-f/cifar100")]
        assert fidelity_against_memory.data(Paper("ottt", elsewhere)) is None

    def test_subtitle_mentions_digits_as_a_replacement(self) -> None:
        digits = [*cost("bptt", 4000), *cost("sltt", 800), gradient("sltt", 0.5, {}, dataset="digits")]
        assert "stand-in" in shown(fidelity_against_memory, digits)["subtitle"]
        assert "stand-in" not in shown(fidelity_against_memory)["subtitle"]


class TestCosineByLayer:
    def test_layers_are_in_the_order_of_depth(self) -> None:
        data = shown(cosine_by_layer)
        assert data["layers"] == ["0.weight", "9.weight", "10.weight"]
        assert {line["algorithm"]: line["cosine"] for line in data["lines"]} == {
            "ottt-a": [0.5, 0.6, 0.9],
            "sltt": [0.25, 0.3, 0.8],
        }

    def test_missing_layer_of_an_algorithm_is_a_gap(self) -> None:
        records = [
            gradient("ottt-a", 0.7, {"0.weight": 0.5, "1.weight": 0.6}),
            gradient("sltt", 0.5, {"1.weight": 0.3}),
        ]
        assert shown(cosine_by_layer, records)["lines"][1]["cosine"] == [None, 0.3]

    def test_exact_agreement_can_be_drawn(self) -> None:
        exact = shown(cosine_by_layer, [gradient("sltt", 1.0, {"0.weight": 1.0})])
        assert ET.fromstring(cosine_by_layer.render(exact)) is not None


class TestTrainingCurves:
    def test_panel_shows_the_training_on_most_images_averaged_over_seeds(self) -> None:
        (panel,) = shown(training_curves)["panels"]
        assert (panel["images"], panel["chance"]) == (4000, 10.0)
        assert [(line["algorithm"], line["epochs"], line["seeds"]) for line in panel["lines"]] == [
            ("bptt", [1, 2, 3], 1),
            ("sltt", [1, 2, 3], 2),
        ]
        sltt = panel["lines"][1]
        assert (sltt["accuracy"], sltt["low"], sltt["high"]) == ([16, 27, 40], [15, 25, 35], [17, 29, 45])

    def test_subtitle_names_the_setting_and_failures(self) -> None:
        subtitle = shown(training_curves)["subtitle"]
        for words in ("CIFAR-10", "4,000 training images", "vgg-sws-small/cifar10", "T = 6", "batch 64"):
            assert words in subtitle
        assert "OTTT-O (crashed)" in subtitle

    def test_at_most_two_panels_largest_data_set_first(self) -> None:
        records = [
            *training("bptt", [10.0, 20.0], 1400, "digits"),
            *training("bptt", [10.0, 20.0], 500, "cifar100"),
            *training("bptt", [10.0, 20.0], 4000, "cifar10"),
        ]
        data = shown(training_curves, records)
        assert [(panel["dataset"], panel["images"]) for panel in data["panels"]] == [
            ("cifar10", 4000),
            ("digits", 1400),
        ]
        assert "stand-in" in data["subtitle"]
        assert training_curves.render(data) == training_curves.render(data)

    def test_common_options_are_shown_once(self) -> None:
        alike = (("epochs", 1), ("lr", 0.1), ("train_images", 640))
        records = [*training("bptt", [20.0], 640, options=alike), *training("tbptt", [21.0], 640, options=(("K", 5), *alike))]
        (panel,) = shown(training_curves, records)["panels"]
        assert [line["title"] for line in panel["lines"]] == ["BPTT", "truncated BPTT (K = 5)"]
        assert panel["what"].endswith("lr = 0.1")

    def test_machines_are_not_mixed(self) -> None:
        records = [*training("bptt", [20.0], 640), *training("sltt", [30.0], 640, machine="bench-2")]
        (panel,) = shown(training_curves, records)["panels"]
        assert len(panel["lines"]) == 1


class TestStepMacs:
    def test_rows_have_roles_total_and_multiplications(self) -> None:
        native, shipped = shown(step_macs)["groups"]
        assert native["backends"] == ["native"]
        assert shipped["rows"] == [
            {
                "algorithm": "ottt-a",
                "title": "OTTT-A",
                "roles": {"forward": 20 * 10**9, "error to input": 20 * 10**9, "error to weight": 30 * 10**9},
                "total": 70 * 10**9,
                "multiplications": 25 * 10**9,
            }
        ]

    def test_failed_row_shows_its_status(self) -> None:
        rows = {row["algorithm"]: row for row in shown(step_macs)["groups"][0]["rows"]}
        assert list(rows) == ["bptt", "ottt-a", "ottt-o", "sltt"]
        assert (rows["ottt-o"]["lacking"], rows["ottt-o"]["total"]) == ("out of memory", None)

    def test_backends_with_equal_counts_share_a_group(self) -> None:
        records = [*cost("bptt", 1), *cost("bptt", 2, "snntorch"), *cost("bptt", 2, "spikingjelly", forward=11)]
        records += [record("gate", "pass", "equivalence", backend=backend) for backend in ("snntorch", "spikingjelly")]
        groups = shown(step_macs, records)["groups"]
        assert [group["backends"] for group in groups] == [["native", "snntorch"], ["spikingjelly"]]

    def test_figure_shows_the_network_with_most_cases_at_its_T(self) -> None:
        records = [*EVIDENCE, *cost("bptt", 1, network="vgg-f/cifar100"), *cost("bptt", 1, T=2)]
        data = shown(step_macs, records)
        assert (data["network"], data["T"]) == (NETWORK, 6)
        assert sum(row["algorithm"] == "bptt" for group in data["groups"] for row in group["rows"]) == 1


class TestSpeed:
    def test_rows_are_ratios_to_the_faster_layout_from_fastest_to_slowest(self) -> None:
        (group,) = shown(speed)["groups"]
        assert group["heading"] == f"{NETWORK}, T = 10, batch 2 (3 turns)"
        assert [(row["title"], row["ratio"]) for row in group["rows"]] == [("BPTT, native, fast", 1.5), ("BPTT, snnTorch", 3.0)]
        assert group["rows"][1]["quartiles"] == [3.0, 3.5]

    def test_peaks_are_those_of_the_same_row(self) -> None:
        fast, other = shown(speed)["groups"][0]["rows"]
        assert fast["peak"] == "500 B"
        assert "peak" not in other
        assert "peak live bytes at batch 128" in shown(speed)["subtitle"]

    def test_rows_of_another_run_are_not_divided(self) -> None:
        later = [replace(r, run="later") if r.metric == "bptt on snntorch" else r for r in ROWS]
        assert [row["backend"] for row in shown(speed, later)["groups"][0]["rows"]] == ["native-fast"]

    def test_other_workloads_are_shown_if_none_has_ten_steps(self) -> None:
        few = [r for r in ROWS if r.case["probe"] != "speed" or r.case["T"] == 4]
        (group,) = shown(speed, few)["groups"]
        assert [row["ratio"] for row in group["rows"]] == [1.0]


class TestStepTime:
    def test_rows_are_ratios_and_quartiles_by_backend_and_algorithm(self) -> None:
        rows = [(g["backend"], r["algorithm"], r.get("ratio")) for g in shown(step_time)["groups"] for r in g["rows"]]
        assert rows == [
            ("native", "bptt", 1.0),
            ("native", "ottt-a", None),
            ("native", "sltt", 1.5),
            ("snntorch", "sltt", 2.0),
        ]
        last = shown(step_time)["groups"][-1]["rows"][-1]
        assert last["quartiles"] == pytest.approx([1.8, 2.4])

    def test_failed_row_shows_its_status_and_unsupported_ones_are_omitted(self) -> None:
        native, snntorch = shown(step_time)["groups"]
        assert [row.get("lacking") for row in native["rows"]] == [None, "timeout", None]
        assert len(snntorch["rows"]) == 1

    def test_figure_shows_the_machine_with_most_cases(self) -> None:
        data = shown(step_time, [*EVIDENCE, clock("sltt", "native", 9.0, machine="bench-2")])
        assert data["machine"] == "bench-1"
        assert all(row.get("ratio") != 9.0 for group in data["groups"] for row in group["rows"])

    def test_subtitle_names_the_setting(self) -> None:
        for words in ("time ratios on a cpu (bench-1)", "batch 128", "t = 6", NETWORK):
            assert words in shown(step_time)["subtitle"].lower()

    def test_predicted_ratio_is_that_of_macs_of_the_same_step(self) -> None:
        counts = [*cost("bptt", 1), *cost("sltt", 1, forward=70), *cost("sltt", 1, T=2)]
        native, snntorch = shown(step_time, [*EVIDENCE, *counts])["groups"]
        assert [row.get("predicted") for row in native["rows"]] == [1.0, 1.0, 2.0]
        assert "predicted" not in snntorch["rows"][0]  # counted on another backend only
        of_each_K = [*cost("bptt", 1), *(r for K in (5, 10) for r in cost("tbptt", 1, forward=10 * K, options=(("K", K),)))]
        timed = clock("tbptt", "native", 0.9, options=(("K", 10), ("repeats", 3)))
        (group,) = shown(step_time, [timed, *of_each_K])["groups"]
        assert group["rows"][0]["predicted"] == 2.5
        elsewhere = [r for r in EVIDENCE if r.case["probe"] != "cost"] + cost("bptt", 1, T=2) + cost("sltt", 1, T=2)
        data = shown(step_time, elsewhere)
        assert not any("predicted" in row for group in data["groups"] for row in group["rows"])
        assert "Hollow" not in data["subtitle"]


class TestMemoryAgainstT:
    BAND: ClassVar = {"memory_against_T": {"band": {"of": "bptt", "divided_by": [2, 5], "label": "reported: 2 to 5"}}}

    def test_settings_of_one_algorithm_are_lines_of_their_own(self) -> None:
        lines = {line["title"]: line["points"] for line in shown(memory_against_T)["lines"]}
        assert lines == {
            "BPTT": [[10, 1000], [100, 10000]],
            "checkpointed BPTT": [[10, 200], [100, 2000]],
            "checkpointed BPTT (lengths = falling)": [[10, 150], [100, 1500]],
        }

    def test_reported_range_follows_its_reference_line(self) -> None:
        data = shown(memory_against_T, context=self.BAND)
        assert data["band"]["edges"] == [[10, 200, 500], [100, 2000, 5000]]
        assert "reported: 2 to 5" in data["subtitle"]
        assert memory_against_T.render(data) != memory_against_T.render(shown(memory_against_T))

    def test_reported_range_is_omitted_without_its_reference_line(self) -> None:
        without = [r for r in SKIPPING if r.case["algorithm"] != "bptt"]
        assert shown(memory_against_T, without, self.BAND)["band"] is None


class TestMemoryAgainstBatch:
    def test_lines_need_two_batch_sizes(self) -> None:
        (line,) = shown(memory_against_batch)["lines"]
        assert (line["title"], line["points"]) == ("BPTT", [[1, 1001], [16, 1016], [64, 10000]])

    def test_figure_of_one_batch_size_is_none(self) -> None:
        assert memory_against_batch.data(Paper("ottt", EVIDENCE)) is None


class TestLongestSequence:
    REPORTED: ClassVar = {"longest_sequence": {"of": "bptt", "times": 10, "against": "skipper", "label": "reported: ten"}}

    def test_points_have_steps_by_budget_and_method(self) -> None:
        (panel,) = shown(longest_sequence)["panels"]
        assert [line["title"] for line in panel["lines"]] == ["BPTT", "Skipper (p = 50)"]
        assert panel["lines"][0]["points"] == [[1, 0, "count"], [2, 10, "count"], [10, 100, "formula"]]
        assert (panel["reported"], panel["gain"]) == ([], "")

    def test_reported_line_starts_where_the_reference_fits(self) -> None:
        (panel,) = shown(longest_sequence, context=self.REPORTED)["panels"]
        assert panel["reported"] == [[2, 100], [10, 1000]]
        assert panel["gain"] == "Skipper: 3.0 to 20 × BPTT"

    def test_every_network_has_a_panel_with_all_labels(self) -> None:
        records = [*SKIPPING, *(r for n in range(5) for r in longest("sltt", {1: (7, "formula")}, network=f"net{n}/digits"))]
        data = shown(longest_sequence, records, self.REPORTED)
        assert [panel["network"] for panel in data["panels"]] == [*(f"net{n}/digits" for n in range(5)), LONG]
        assert longest_sequence.render(data) == longest_sequence.render(data)


class TestFidelityFront:
    def test_points_are_shares_of_bptt_and_marked_exact_or_dominated(self) -> None:
        (panel,) = shown(fidelity_front)["panels"]
        points = {p["title"]: (p["memory"], round(p["macs"], 3), p["exact"], p["beaten"]) for p in panel["points"]}
        assert points == {
            "BPTT": (1.0, 1.0, True, False),
            "SLTT": (0.1, 1.0, False, False),
            "checkpointed BPTT": (0.3, 1.167, True, False),
            "one-bit replay": (0.2, 1.333, True, False),
            "Skipper (p = 50, segments = 2)": (0.35, 0.917, False, False),
            "truncated BPTT (K = 10)": (0.4, 1.0, False, True),  # SLTT: less memory, as many MACs, nearer to BPTT
        }

    def test_figure_needs_the_cost_at_the_batch_size_of_the_gradient(self) -> None:
        elsewhere = [r for r in SKIPPING if r.case["probe"] == "gradient"] + cost("bptt", 1, **{**SMALL, "batch": 64})
        assert fidelity_front.data(Paper("ottt", elsewhere)) is None


class TestFidelityAgainstSkipping:
    def test_panel_has_lines_by_segments_rivals_and_variants(self) -> None:
        (panel,) = shown(fidelity_against_skipping)["panels"]
        assert panel["lines"] == [
            {"segments": 1, "points": [[10, 0.99], [50, 0.9]]},
            {"segments": 2, "points": [[50, 0.95], [75, 0.7]]},
        ]
        assert [(rival["title"], rival["cosine"]) for rival in panel["rivals"]] == [
            ("SLTT", 0.3),
            ("truncated BPTT (K = 10)", 0.2),
        ]  # exact ones would lie upon the edge
        assert [(c["title"], c["cosine"]) for c in panel["choices"]] == [
            ("default, p = 50, C = 2", 0.95),
            ("skipped = leak", 0.8),
        ]

    def test_figure_of_one_share_is_none(self) -> None:
        only_50 = [r for r in SKIPPING if r.case["options"].get("p", 50) == 50]
        assert fidelity_against_skipping.data(Paper("ottt", only_50)) is None

    def test_figure_without_variants_is_drawn(self) -> None:
        data = shown(fidelity_against_skipping, [r for r in SKIPPING if "skipped" not in r.case["options"]])
        assert data["panels"][0]["choices"] == []
        assert ET.fromstring(fidelity_against_skipping.render(data)) is not None


class TestSkippedActivity:
    def test_rows_are_shares_and_columns_are_data_sets(self) -> None:
        data = shown(skipped_activity)
        assert [column["dataset"] for column in data["columns"]] == ["cifar10", "n-mnist"]
        assert [row["title"] for row in data["rows"]] == ["p = 25", "p = 50"]
        assert "segments = 2" in data["subtitle"]
        (first, gap), (second, events) = (row["panels"] for row in data["rows"])
        assert (first["steps"], first["activity"], gap) == (25.0, 10.0, None)
        assert (second["steps"], second["kept"]) == (50.0, [2, 3])
        assert events["steps"] == pytest.approx(100 / 3)


class TestQualitySpace:
    def test_cells_have_mean_spread_and_n_of_one_recipe(self) -> None:
        (row,) = shown(quality_space)["rows"]
        accuracy, gap, cosine = row["panels"]
        assert [(c["K"], c["b"], c["mean"], c["n"]) for c in accuracy["cells"]] == [
            (1, 1, 32.0, 2), (1, "all", 31.0, 2), (4, 1, 42.0, 2), (4, "all", 40.0, 2),
        ]  # fmt: skip
        assert [c["spread"] for c in accuracy["cells"]] == pytest.approx([8**0.5, 0, 8**0.5, 2**0.5])
        assert [c["mean"] for c in gap["cells"]] == pytest.approx([3.2, 3.1, 4.2, 4.0])
        assert [(c["K"], c["b"], c["mean"], c["n"]) for c in cosine["cells"]] == [(1, 1, 0.25, 1), (4, "all", 1.0, 0)]

    def test_drawing_shows_mean_spread_and_n(self) -> None:
        said = quality_space.render(shown(quality_space))
        assert "K = 4, b = 1: 42.0 ± 2.8, n = 2" in said
        assert "K = 1, b = 1: 0.25 n = 1" in said
        assert "4,000 samples to train and 1,000 to test" in shown(quality_space)["subtitle"]

    def test_figure_of_one_length_or_one_block_size_is_none(self) -> None:
        for cells in ((Cell(4), Cell(1)), (Cell(4), Cell(4, 1))):
            records = [r for cell in cells for r in trained(cell, ACCURACIES[cell])]
            assert quality_space.data(Paper("ottt", records)) is None

    def test_rows_are_data_sets_with_the_recipe_of_most_cells(self) -> None:
        events = [r for cell in ACCURACIES for r in trained(cell, [50.0], "n-mnist")]
        rows = shown(quality_space, [*CELLS, *events])["rows"]
        assert [row["title"] for row in rows] == ["CIFAR-10", "N-MNIST"]
        assert [c["mean"] for c in rows[1]["panels"][2]["cells"]] == [0.75, 1.0]
        fuller = [r for cell in [*ACCURACIES, Cell(2)] for r in trained(cell, [70.0], lr=0.3)]
        (row,) = shown(quality_space, [*CELLS, *fuller])["rows"]
        assert {c["mean"] for c in row["panels"][0]["cells"]} == {70.0}

    def test_panel_without_records_is_empty(self) -> None:
        records = [r for r in CELLS if r.case["probe"] == "training"]
        data = shown(quality_space, records)
        assert data["rows"][0]["panels"][2]["cells"] == []
        assert quality_space.render(data) == quality_space.render(data)


class TestAccuracyFront:
    def test_points_are_shares_of_bptts_memory_and_dominated_ones_are_marked(self) -> None:
        (panel,) = shown(accuracy_front)["panels"]
        assert [(p["title"], p["algorithm"], p["memory"], p["mean"], p["beaten"]) for p in panel["points"]] == [
            ("K = 1, b = 1", "ttl-bptt", 0.25, 32.0, False),
            ("K = 1, b = all", "tbptt", 0.3, 31.0, True),
            ("K = 4, b = 1", "local", 0.9, 42.0, False),
            ("K = 4, b = all", "bptt", 1.0, 40.0, True),
        ]

    def test_figure_needs_the_cost_of_bptt(self) -> None:
        records = [r for r in CELLS if (r.case["probe"], r.case["algorithm"]) != ("cost", "bptt")]
        assert accuracy_front.data(Paper("ottt", records)) is None


class TestUsual:
    def test_settings_of_few_cases_are_omitted(self) -> None:
        records = [
            *(r for T in (6, 7, 8) for r in cost("skipper", 5, T=T, options=(("p", 50),))),
            *cost("skipper", 9, options=(("p", 70),)),
            *cost("bptt", 10),
        ]
        titles = [row["title"] for group in shown(step_macs, records)["groups"] for row in group["rows"]]
        assert titles == ["BPTT", "Skipper (p = 50)"]

    def test_settings_of_equally_many_cases_are_kept(self) -> None:
        records = [*cost("checkpointed", 5), *cost("checkpointed", 4, options=FALLING)]
        assert len(shown(step_macs, records)["groups"][0]["rows"]) == 2


def judged(id: str, verdict: Any, *found: tuple[Mapping[str, Any], Any], place: str = "table", **of_claim: Any) -> Verdict:
    """A verdict on a claim whose parts are the measures of ``found``, each with what was measured."""
    measure = {"parts": [measure for measure, _ in found]}
    known = {"statement": id, "quantity": "q", "unit": "1", "printed": "1", "evidence": "checked", "source": "s"}
    claim = Claim("ottt", id, place, **{**known, "measure": measure, **of_claim})
    parts = tuple(Part(measure, value, 0.5) for measure, value in found)
    return Verdict(claim, verdict, parts[0].measured if parts else None, "why", keys=(EVIDENCE[0].key,), parts=parts)


RANGE = {"rule": "ratio", "low": 2, "high": 8}
JUDGED = [
    judged("within", "reproduced", ({"rule": "within"}, 9.0), value=10.0, tolerance=2.0),
    judged("open", "not attempted", value=50.0, tolerance=1.0, place="elsewhere"),
    judged("range", "partly", (RANGE, 4.0), (RANGE, 40.0), printed="2x to 8x"),
    judged("unsaid", "undecidable", value=6.7),
    judged("search", "partly", ({"rule": "some_setting", "reports": {"MACs": [-1, 1]}}, 36), printed="-1 %", unit="settings"),
    judged("no number", "reproduced", (RANGE, 4.0), printed="sub-linear"),
]


class TestReportedAgainstMeasured:
    @pytest.fixture
    def data(self) -> dict[str, Any]:
        found = reported_against_measured.data(Paper("ottt", EVIDENCE, JUDGED))
        assert found is not None
        return found

    def test_every_claim_with_a_number_is_a_row_under_its_place(self, data: dict[str, Any]) -> None:
        rows = {group["heading"]: [row["id"] for row in group["rows"]] for group in data["groups"]}
        assert rows == {"Table": ["within", "range", "unsaid", "search"], "Elsewhere": ["open"]}

    def test_numbers_are_divided_by_the_reported_one(self, data: dict[str, Any]) -> None:
        rows = {row["id"]: row for group in data["groups"] for row in group["rows"]}
        assert [point["ratio"] for point in rows["within"]["points"]] == [0.9]
        assert [point["spread"] for point in rows["within"]["points"]] == [0.05]
        assert rows["within"]["allowed"] == [0.8, 1.2]
        assert [point["ratio"] for point in rows["range"]["points"]] == [1.0, 10.0]  # the middle of 2 and 8 is 4
        assert rows["range"]["allowed"] == [0.5, 2.0]
        assert rows["open"]["points"] == rows["unsaid"]["points"] == rows["search"]["points"] == []
        assert rows["range"]["measured"] == "4.00 to 40.0"
        assert rows["search"]["measured"] == "36 settings"

    def test_figure_without_measured_claims_is_none(self) -> None:
        assert reported_against_measured.data(Paper("ottt", EVIDENCE, [JUDGED[1], JUDGED[3]])) is None

    def test_drawing_is_valid_svg_with_the_same_bytes(self, data: dict[str, Any]) -> None:
        text = reported_against_measured.render(data)
        assert text == reported_against_measured.render(json.loads(json.dumps(data)))
        assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"

    @pytest.mark.parametrize("sign", [1, -1], ids=["far apart", "negative"])
    def test_numbers_of_any_size_and_sign_can_be_drawn(self, sign: int) -> None:
        far = [judged(f"times {n}", "not reproduced", ({}, sign * 10.0**n), value=1.0) for n in (-3, 0, 3)]
        found = reported_against_measured.data(Paper("ottt", EVIDENCE, far))
        assert found is not None
        assert ET.fromstring(reported_against_measured.render(found)) is not None

    def test_verdicts_have_shapes_and_filled_ones_are_unique(self) -> None:
        shapes = reported_against_measured._SHAPES
        assert shapes.keys() == set(VERDICTS)
        filled = [shape for verdict, shape in shapes.items() if verdict not in reported_against_measured._OPEN]
        assert len(set(filled)) == len(filled)


class TestColours:
    def test_labels_have_contrast_on_light_and_dark_pages(self) -> None:
        for look in (*ALGORITHMS.values(), *style.VERDICTS.values()):
            assert contrast(look.colour.light, style.PAPER.light) >= 4.5, look.title
            assert contrast(look.colour.dark, style.PAPER.dark) >= 4.5, look.title

    def test_light_colour_has_one_dark_colour(self) -> None:
        dark_of: dict[str, str] = {}
        tables = (ALGORITHMS, style.CATEGORIES, style.ROLES, style.VERDICTS)
        for colour in (look.colour for table in tables for look in table.values()):
            assert dark_of.setdefault(colour.light, colour.dark) == colour.dark

    def test_algorithms_have_different_colours(self) -> None:
        assert len({look.colour for look in ALGORITHMS.values()}) == len(ALGORITHMS)


def contrast(a: str, b: str) -> float:
    """WCAG 2.1: ratio of relative luminances, 1 to 21."""

    def luminance(colour: str) -> float:
        linear = [
            (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4)
            for c in (byte / 255 for byte in bytes.fromhex(colour[1:]))
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)
