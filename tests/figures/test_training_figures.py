"""Figures of trainings: cosine by layer, accuracy over epochs."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from bench.figures import (
    cosine_along_training,
    cosine_by_layer,
    training_curves,
)
from bench.figures.paper import Paper
from tests.figures.records import ALONG, gradient, shown, training


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
