"""Figures of trainings: cosine by layer, accuracy over epochs."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import pytest

from bench.claims import Claim, Verdict
from bench.figures import (
    accuracy_against_memory,
    cosine_along_training,
    cosine_by_layer,
    training_curves,
)
from bench.figures.paper import Paper
from tests.figures.records import ALONG, DENSE, DRAWS, gradient, shown, training


def claimed(value: float, select: Mapping[str, Any]) -> Verdict:
    measure = {"rule": "equivalent", "select": select}
    known = {"statement": "s", "quantity": "q", "unit": "%", "printed": str(value), "evidence": "checked", "source": "s"}
    return Verdict(Claim("ottt", "c", "table", **known, value=value, measure=measure), "not attempted", None, "why")


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
        alike = (("epochs", 2), ("lr", 0.1), ("train_images", 640))
        pairs = (("bptt", alike), ("tbptt", (("K", 5), *alike)))
        records = [r for name, options in pairs for r in training(name, [20.0, 21.0], 640, options=options)]
        (panel,) = shown(training_curves, records)["panels"]
        assert [line["title"] for line in panel["lines"]] == ["BPTT", "truncated BPTT (K = 5)"]
        assert panel["what"].endswith("lr = 0.1")

    def test_machines_are_not_mixed(self) -> None:
        records = [*training("bptt", [20.0, 21.0], 640), *training("sltt", [30.0, 31.0], 640, machine="bench-2")]
        (panel,) = shown(training_curves, records)["panels"]
        assert len(panel["lines"]) == 1

    def test_trainings_of_one_epoch_are_no_curves(self) -> None:
        assert training_curves.data(Paper("ottt", training("bptt", [20.0], 640))) is None


class TestAccuracyAgainstMemory:
    def test_runs_on_several_draws_are_one_point_at_the_bytes_of_the_step(self) -> None:
        (panel,) = shown(accuracy_against_memory)["panels"]  # time code has one algorithm
        assert panel["title"] == "Randman, rate code, 640,000 training samples"
        assert [(p["title"], p["memory"] // 2**20, p["mean"], p["n"]) for p in panel["points"]] == [
            ("BPTT", 30, 81.0, 3),
            ("OSTL", 40, 81.0, 1),
            ("OTPE", 80, 83.0, 3),
        ]

    def test_interval_is_students_and_one_run_has_none(self) -> None:
        bptt, ostl, _ = shown(accuracy_against_memory)["panels"][0]["points"]
        half = 4.303 / 3**0.5  # of 80, 81 and 82: s = 1
        assert (bptt["low"], bptt["high"]) == pytest.approx((81 - half, 81 + half))
        assert (ostl["low"], ostl["high"]) == (None, None)

    def test_reported_value_is_that_of_the_claim_on_these_runs(self) -> None:
        select = {
            "probe": "training", "metric": "test_accuracy", "algorithm": "otpe", "backend": "native", "T": 50, "batch": 128,
            "draws": ["randman-rate", "randman-rate-1", "randman-rate-2"], "network": DENSE["network"], "options": {"epochs": 1},
        }  # fmt: skip
        data = accuracy_against_memory.data(Paper("ottt", DRAWS, [claimed(83.09, select)]))
        assert data is not None
        assert [p["reported"] for p in data["panels"][0]["points"]] == [None, None, 83.09]
        other = claimed(83.09, {**select, "options": {"epochs": 2}})
        data = accuracy_against_memory.data(Paper("ottt", DRAWS, [other]))
        assert data is not None
        assert [p["reported"] for p in data["panels"][0]["points"]] == [None, None, None]


class TestCosineAlongTraining:
    def test_seeds_on_manifolds_of_their_own_are_points_of_one_line(self) -> None:
        (row,) = shown(cosine_along_training)["rows"]
        first, second = row
        assert first["title"] == "otpe-3x128/randman-k25, Randman, rate code: layer 1 of 2"
        assert [line["algorithm"] for line in first["lines"]] == ["ostl", "otpe"]
        assert first["lines"][1]["points"] == [{"batches": moment, "cosines": [0.9, 0.9]} for moment in (0, 100)]
        assert second["lines"][0]["points"] == [{"batches": 0, "cosines": [0.9, 0.9]}]  # undefined after training: no point

    def test_one_moment_alone_is_no_figure(self) -> None:
        early = [r for r in ALONG if r.metric.endswith(" 0")]
        assert cosine_along_training.data(Paper("otpe", early)) is None
