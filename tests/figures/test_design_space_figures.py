"""Figures of a design space's cells: accuracy, gap, fidelity, memory."""

from __future__ import annotations

import pytest

from bench.design_space import Cell
from bench.figures import (
    accuracy_front,
    quality_space,
)
from bench.figures.paper import Paper
from tests.figures.records import ACCURACIES, CELLS, shown, trained


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
