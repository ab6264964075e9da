"""Figures of memory against sequence length and batch size."""

from __future__ import annotations

from typing import ClassVar

from bench.figures import (
    longest_sequence,
    memory_against_batch,
    memory_against_T,
)
from bench.figures.paper import Paper
from tests.figures.records import EVIDENCE, LONG, SKIPPING, longest, shown


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
