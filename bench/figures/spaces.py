"""Design spaces that were trained in, as figures read them: every cell (K, b) with its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TypedDict

from bench.case import NO_DATA, SCALES, CaseFields
from bench.design_space import Cell, cell_of, without_cell
from bench.figures.paper import Paper
from bench.figures.words import images
from bench.record import Record


@dataclass(frozen=True)
class Space:
    """One data set, network, T, batch and recipe on one machine; ``runs`` are records of test accuracy, in the order of cells."""

    case: CaseFields  # of one of them
    machine: str
    runs: Mapping[Cell, Sequence[Record]]

    @property
    def title(self) -> str:
        return images(self.case["dataset"]).split(" (")[0]

    @property
    def what(self) -> str:
        about, options = self.records[0].detail, self.case["options"]
        trained, tested = about.get("train images"), about.get("test images")
        part = ", a part" if str(about.get("part", "")).startswith("part") else ""
        return (
            f"{images(self.case['dataset'])}{part}: {trained:,} samples to train and {tested:,} to test, {self.case['network']}, "
            f"T = {self.case['T']}, batch {self.case['batch']}, {options.get('epochs', 1)} epochs"
        )

    @property
    def records(self) -> list[Record]:
        return [record for runs in self.runs.values() for record in runs]

    def of(self, records: Sequence[Record]) -> dict[Cell, list[Record]]:
        """Records of another metric, or of the cost or the gradient of these training steps, by cell."""
        found: dict[Cell, list[Record]] = {}
        for record in records:
            cell = cell_of(record.case)
            if cell is not None and cell in self.runs and self._is_of(record):
                found.setdefault(cell, []).append(record)
        return found

    def _is_of(self, record: Record) -> bool:
        """Whether the record's case agrees with this space in all but the cell; trainings are those of one machine."""
        other, mine = without_cell(record.case), without_cell(self.case)
        if other["probe"] == "training" and record.machine != self.machine:
            return False
        return (
            other["options"].items() <= mine["options"].items()
            and _place(other) == _place(mine)
            and other["dataset"] in (NO_DATA, mine["dataset"])
        )


def _place(case: CaseFields) -> tuple[str, int, int, str]:
    return (case["network"], case["T"], case["batch"], case["backend"])


def spaces(paper: Paper) -> list[Space]:
    """Of every data set the space of the highest scale, then of most cells; only those with two lengths and two block sizes."""
    groups: dict[tuple[str, str], dict[Cell, list[Record]]] = {}
    for record in paper.measured("test_accuracy"):
        cell = cell_of(record.case)
        if cell is not None:
            key = (record.machine, json.dumps(without_cell(record.case), sort_keys=True))
            groups.setdefault(key, {}).setdefault(cell, []).append(record)
    chosen: dict[str, tuple[tuple[int, int, str, str], Space]] = {}
    for (machine, about), runs in sorted(groups.items()):
        if min(len({cell.K for cell in runs}), len({cell.b for cell in runs})) < 2:
            continue
        ordered = {cell: runs[cell] for cell in sorted(runs, key=lambda cell: cell.order)}
        space = Space(next(iter(ordered.values()))[0].case, machine, ordered)
        rank = (max(SCALES.index(r.case["scale"]) for r in space.records), len(runs), about, machine)
        dataset = space.case["dataset"]
        if dataset not in chosen or rank > chosen[dataset][0]:
            chosen[dataset] = (rank, space)
    return [chosen[dataset][1] for dataset in sorted(chosen)]


class Summary(TypedDict):
    mean: float
    spread: float | None
    n: int


def summary(records: Sequence[Record]) -> Summary:
    """Mean, standard deviation (None of one) and number of runs."""
    values = [record.number for record in records]
    spread = stdev(values) if len(values) > 1 else None
    return {"mean": fmean(values), "spread": spread, "n": len(values)}
