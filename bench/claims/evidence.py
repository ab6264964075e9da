"""Which records are evidence for a claim: those of one machine that a selector asks for, in series along one field."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bench.cells import Cell, beside, cell_of
from bench.claims.claim import Selector
from bench.spec import SCALES, Record


class Evidence:
    """Successful records of one machine, and the ways to select from them."""

    def __init__(self, records: Iterable[Record]) -> None:
        self._by_metric: dict[str, list[Record]] = {}
        for record in records:
            self._by_metric.setdefault(record.metric, []).append(record)

    def all(self, selector: Selector) -> list[Record]:
        """Every record that the selector matches; with ``detail``, as records of that entry alone."""
        found = [r for r in self._by_metric.get(selector["metric"], []) if matches(selector, r)]
        entry = selector.get("detail")
        if entry is None:
            return found
        return [replace(r, value=r.detail[entry]) for r in found if entry in r.detail]

    def series(self, selector: Selector, along: str, scale: str) -> list[Record]:
        """Records that differ in ``along`` alone, in its order: of all series that reach ``scale``, the one that goes
        highest, then the most recent."""

        def rest(record: Record) -> Mapping[str, Any]:
            return {name: value for name, value in record.case.items() if name not in (along, "scale")}

        return sorted(_best(self.all(selector), rest, scale), key=lambda record: record.case[along])

    def grid(self, selector: Selector, scale: str) -> dict[Cell, dict[int, Record]]:
        """Records of one design space (see bench/cells.py) by cell and seed; which one is chosen as for ``series``."""
        found: dict[Cell, dict[int, Record]] = {}
        inside = [record for record in self.all(selector) if cell_of(record.case)]
        for record in _best(inside, lambda record: beside(record.case), scale):
            cell = cell_of(record.case)
            assert cell is not None, "others were left out"
            found.setdefault(cell, {})[record.case["seed"]] = record
        return found


def _best(records: Iterable[Record], alike: Callable[[Record], Mapping[str, Any]], scale: str) -> list[Record]:
    """Of the groups of records that are ``alike`` and reach ``scale``, the one that goes highest, then the most recent."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(json.dumps(alike(record), sort_keys=True), []).append(record)
    deciding = [item for item in groups.items() if rank(item[1])[0] >= SCALES.index(scale)]
    return max(deciding, key=lambda item: (*rank(item[1]), item[0]), default=("", []))[1]


def matches(selector: Selector, record: Record) -> bool:
    """Whether the record has all that the selector asks for."""
    for name, wanted in selector.items():
        if name == "metric":
            if record.metric != wanted:
                return False
        elif name == "options":
            if any(record.case["options"].get(option, "unset") != value for option, value in wanted.items()):
                return False
        elif name != "detail" and record.case.get(name) != wanted:
            return False
    return True


def rank(records: Sequence[Record]) -> tuple[int, str]:
    """The highest scale, then the latest time."""
    return max(SCALES.index(r.case["scale"]) for r in records), max(r.when for r in records)
