"""The figure of reported against measured numbers."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from typing import Any

import pytest

from bench.claims import VERDICTS, Claim, Verdict
from bench.claims.claim import Part
from bench.figures import (
    reported_against_measured,
)
from bench.figures.paper import Paper
from tests.figures.records import EVIDENCE


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
