"""Figures of algorithms that skip time steps: cost, fidelity, skipped activity."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from bench.figures import (
    fidelity_against_skipping,
    fidelity_front,
    skipped_activity,
)
from bench.figures.paper import Paper
from tests.figures.records import SKIPPING, SMALL, cost, shown


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
    def test_panel_has_lines_by_segments_other_algorithms_and_variants(self) -> None:
        (panel,) = shown(fidelity_against_skipping)["panels"]
        assert panel["lines"] == [
            {"segments": 1, "points": [[10, 0.99], [50, 0.9]]},
            {"segments": 2, "points": [[50, 0.95], [75, 0.7]]},
        ]
        assert [(other["title"], other["cosine"]) for other in panel["others"]] == [
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
