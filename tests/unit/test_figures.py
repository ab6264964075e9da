"""What figures take from records: the right numbers, nothing from failures, and the same bytes every time."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import pytest

from bench.figures import (
    cosine_by_layer,
    fidelity_against_memory,
    step_macs,
    step_time,
    training_curves,
)
from bench.figures.paper import Paper
from bench.spec import Case, Record

NETWORK = "vgg-sws/cifar10"
FIGURES = (cosine_by_layer, fidelity_against_memory, step_macs, step_time, training_curves)


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
        "digest", {}, "0123456789abcdef", machine, "2031-05-06T07:08:09Z",
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
FAILED_ONLY = [r for r in EVIDENCE if r.status != "ok"]


def shown(figure: ModuleType, records: list[Record] = EVIDENCE) -> dict[str, Any]:
    data: dict[str, Any] = figure.data(Paper("ottt", records))
    return data


@pytest.mark.parametrize("figure", FIGURES, ids=lambda figure: figure.name)
class TestEveryFigure:
    def test_nothing_to_show(self, figure: ModuleType) -> None:
        assert figure.data(Paper("ottt", [])) is None

    def test_failures_alone_are_nothing_to_show(self, figure: ModuleType) -> None:
        assert figure.data(Paper("ottt", FAILED_ONLY)) is None

    def test_data_are_json_and_do_not_depend_on_the_order_of_records(self, figure: ModuleType) -> None:
        data = shown(figure)
        assert json.loads(json.dumps(data)) == data
        assert shown(figure, EVIDENCE[::-1]) == data

    def test_says_where_it_comes_from(self, figure: ModuleType) -> None:
        data = shown(figure)
        assert data["title"]
        assert data["origin"]["machines"] == ["bench-1"]
        assert "0123456789" in data["origin"]["caption"]

    def test_same_bytes_valid_xml_and_no_date(self, figure: ModuleType) -> None:
        data = shown(figure)
        text = figure.render(data)
        assert text == figure.render(json.loads(json.dumps(data)))
        assert ET.fromstring(text).tag == "{http://www.w3.org/2000/svg}svg"
        assert not re.search(r"\d{4}-\d\d-\d\d|dc:date", text)


def test_behind_a_closed_gate_nothing_is_shown() -> None:
    assert len(shown(step_macs)["groups"]) == 2
    closed = record("gate", "fail", "equivalence", "sltt", backend="spikingjelly-shipped")
    assert len(shown(step_macs, [*EVIDENCE, closed])["groups"]) == 1  # of two gates one is closed
    unknown = [r for r in EVIDENCE if r.case["probe"] != "equivalence"]
    assert {group["backend"] for group in shown(step_time, unknown)["groups"]} == {"native"}


class TestFidelityAgainstMemory:
    def test_memory_saved_and_cosine(self) -> None:
        points = {p["algorithm"]: (p["saved"], p["cosine"]) for p in shown(fidelity_against_memory)["points"]}
        assert points == {"bptt": (1.0, 1.0), "ottt-a": (4.0, 0.75), "sltt": (5.0, 0.5)}

    def test_no_point_without_a_gradient(self) -> None:
        only_sltt = [r for r in EVIDENCE if r.metric != "gradient_cosine" or r.case["algorithm"] == "sltt"]
        algorithms = [p["algorithm"] for p in shown(fidelity_against_memory, only_sltt)["points"]]
        assert algorithms == ["bptt", "sltt"]

    def test_no_point_without_the_memory_of_the_same_network(self) -> None:
        elsewhere = [*cost("bptt", 4000), *cost("sltt", 800), gradient("sltt", 0.5, {}, network="vgg-f/cifar100")]
        assert fidelity_against_memory.data(Paper("ottt", elsewhere)) is None

    def test_digits_are_said_to_be_a_stand_in(self) -> None:
        digits = [*cost("bptt", 4000), *cost("sltt", 800), gradient("sltt", 0.5, {}, dataset="digits")]
        assert "stand-in" in shown(fidelity_against_memory, digits)["subtitle"]
        assert "stand-in" not in shown(fidelity_against_memory)["subtitle"]


class TestCosineByLayer:
    def test_weights_in_the_order_of_depth(self) -> None:
        data = shown(cosine_by_layer)
        assert data["layers"] == ["0.weight", "9.weight", "10.weight"]
        assert {line["algorithm"]: line["cosine"] for line in data["lines"]} == {
            "ottt-a": [0.5, 0.6, 0.9],
            "sltt": [0.25, 0.3, 0.8],
        }

    def test_a_layer_that_one_algorithm_lacks_is_a_gap(self) -> None:
        records = [
            gradient("ottt-a", 0.7, {"0.weight": 0.5, "1.weight": 0.6}),
            gradient("sltt", 0.5, {"1.weight": 0.3}),
        ]
        assert shown(cosine_by_layer, records)["lines"][1]["cosine"] == [None, 0.3]

    def test_exact_agreement_can_be_drawn(self) -> None:
        exact = shown(cosine_by_layer, [gradient("sltt", 1.0, {"0.weight": 1.0})])
        assert ET.fromstring(cosine_by_layer.render(exact)) is not None


class TestTrainingCurves:
    def test_the_training_on_most_images_with_seeds_averaged(self) -> None:
        (panel,) = shown(training_curves)["panels"]
        assert (panel["images"], panel["chance"]) == (4000, 10.0)
        assert [(line["algorithm"], line["epochs"], line["seeds"]) for line in panel["lines"]] == [
            ("bptt", [1, 2, 3], 1),
            ("sltt", [1, 2, 3], 2),
        ]
        sltt = panel["lines"][1]
        assert (sltt["accuracy"], sltt["low"], sltt["high"]) == ([16, 27, 40], [15, 25, 35], [17, 29, 45])

    def test_says_what_was_trained_and_what_failed(self) -> None:
        subtitle = shown(training_curves)["subtitle"]
        for words in ("CIFAR-10", "4,000 training images", "vgg-sws-small/cifar10", "T = 6", "batch 64"):
            assert words in subtitle
        assert "OTTT-O (crashed)" in subtitle

    def test_two_panels_at_most_the_largest_first(self) -> None:
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

    def test_machines_are_not_mixed(self) -> None:
        records = [*training("bptt", [20.0], 640), *training("sltt", [30.0], 640, machine="bench-2")]
        (panel,) = shown(training_curves, records)["panels"]
        assert len(panel["lines"]) == 1


class TestStepMacs:
    def test_roles_total_and_multiplications_by_backend(self) -> None:
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

    def test_a_failure_is_a_word(self) -> None:
        rows = {row["algorithm"]: row for row in shown(step_macs)["groups"][0]["rows"]}
        assert list(rows) == ["bptt", "ottt-a", "ottt-o", "sltt"]
        assert (rows["ottt-o"]["lacking"], rows["ottt-o"]["total"]) == ("out of memory", None)

    def test_backends_with_equal_counts_share_a_group(self) -> None:
        records = [*cost("bptt", 1), *cost("bptt", 2, "snntorch"), *cost("bptt", 2, "spikingjelly", forward=11)]
        records += [record("gate", "pass", "equivalence", backend=backend) for backend in ("snntorch", "spikingjelly")]
        groups = shown(step_macs, records)["groups"]
        assert [group["backends"] for group in groups] == [["native", "snntorch"], ["spikingjelly"]]

    def test_only_the_network_of_most_cases_at_its_T(self) -> None:
        records = [*EVIDENCE, *cost("bptt", 1, network="vgg-f/cifar100"), *cost("bptt", 1, T=2)]
        data = shown(step_macs, records)
        assert (data["network"], data["T"]) == (NETWORK, 6)
        assert sum(row["algorithm"] == "bptt" for group in data["groups"] for row in group["rows"]) == 1


class TestStepTime:
    def test_ratios_and_quartiles_by_backend_and_algorithm(self) -> None:
        rows = [(g["backend"], r["algorithm"], r.get("ratio")) for g in shown(step_time)["groups"] for r in g["rows"]]
        assert rows == [
            ("native", "bptt", 1.0),
            ("native", "ottt-a", None),
            ("native", "sltt", 1.5),
            ("snntorch", "sltt", 2.0),
        ]
        last = shown(step_time)["groups"][-1]["rows"][-1]
        assert last["quartiles"] == pytest.approx([1.8, 2.4])

    def test_a_failure_is_a_word_and_what_cannot_exist_is_left_out(self) -> None:
        native, snntorch = shown(step_time)["groups"]
        assert [row.get("lacking") for row in native["rows"]] == [None, "timeout", None]
        assert len(snntorch["rows"]) == 1

    def test_one_machine_the_one_with_most_cases(self) -> None:
        data = shown(step_time, [*EVIDENCE, clock("sltt", "native", 9.0, machine="bench-2")])
        assert data["machine"] == "bench-1"
        assert all(row.get("ratio") != 9.0 for group in data["groups"] for row in group["rows"])

    def test_subtitle_tells_the_setting(self) -> None:
        for words in ("time ratios on a cpu (bench-1)", "batch 128", "t = 6", NETWORK):
            assert words in shown(step_time)["subtitle"].lower()
