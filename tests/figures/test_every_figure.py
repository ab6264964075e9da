"""What holds of every figure: nothing from failures, JSON data, the same bytes every time, readable colours."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from types import ModuleType

import pytest

import bench.figures
from bench.figures import (
    step_macs,
    step_time,
    style,
)
from bench.figures.paper import Paper
from bench.registry import ALGORITHMS
from tests.figures.records import (
    CELLS,
    DRAWS,
    EVIDENCE,
    EVIDENCE_OF,
    FIGURES,
    OF_CELLS,
    OF_DRAWS,
    OF_ROWS,
    OF_SKIPPING,
    OF_TRAINING,
    ROWS,
    SKIPPING,
    record,
    shown,
)

FAILED_ONLY = [r for r in [*EVIDENCE, *SKIPPING, *CELLS, *ROWS, *DRAWS] if r.status != "ok"]


@pytest.mark.parametrize(
    "figure", [*FIGURES, *OF_SKIPPING, *OF_CELLS, *OF_ROWS, *OF_TRAINING, *OF_DRAWS], ids=lambda figure: figure.name
)
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
