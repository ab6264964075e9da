"""Which records are evidence for a claim: those of the planned cases that a selector asks for, in groups.

What counts is set by the paper's plan, not by what happens to be stored. A record of a case that is not planned is no evidence.
A planned case without a finite number is a lost run: the reason states it, and a part of a claim that needs it is "cannot tell"
at best (see rules). So losing a record never improves a verdict.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeGuard

from bench.case import SCALES, Case, CaseFields
from bench.claims.claim import Selector
from bench.design_space import OF_THE_CELL, cell_of, without_cell
from bench.plan import THREADS
from bench.record import Record, apart
from bench.registry import PROBES

NOT_OF_A_CASE = ("metric", "detail", "device", "options", "any", "draws")  # what a selector has beside fields of a case
DEVICES = ("gpu",)


@dataclass(frozen=True)
class Group:
    """Planned cases that differ in one field alone: their records in its order, and the keys of those without a number."""

    records: tuple[Record, ...]
    lost: tuple[str, ...]

    @property
    def described(self) -> str:
        """ "2 of 3 planned runs", empty where none is lost."""
        return f"{len(self.records)} of {len(self.records) + len(self.lost)} planned runs" if self.lost else ""


@dataclass(frozen=True)
class _Planned:
    key: str
    scale: int
    case: CaseFields


class Plan:
    """What a paper measures: the cases that its evidence may come from."""

    def __init__(self, cases: Iterable[Case]) -> None:
        self.by_key: dict[str, _Planned] = {}
        self.by_probe: dict[str, list[_Planned]] = {}
        for case in cases:
            content: CaseFields = {**case.as_dict(), "options": json.loads(json.dumps(case.settings))}
            planned = _Planned(case.key, SCALES.index(case.scale), content)
            self.by_key[case.key] = planned
            self.by_probe.setdefault(case.probe, []).append(planned)

    def has(self, record: Record) -> bool:
        """Whether the record is of a planned case, of the one whose key it bears, computed on what that case is planned for.

        The scale says only when a case is run.
        """
        planned = self.by_key.get(record.key)
        if planned is None or not isinstance(record.detail, Mapping) or not isinstance(record.when, str):
            return False
        return _as_planned(record) and {**record.case, "scale": ""} == {**planned.case, "scale": ""}


def _as_planned(record: Record) -> bool:
    """Whether precision, threads and kind of device are those of the probe: what shapes alone computed is no training.

    The number of cores of a machine is not known here; records with different numbers of threads are never combined (judge.py).
    """
    probe = PROBES[record.case["probe"]]
    processes, device = apart(record.device)
    if processes > 1 and record.case["probe"] != "training":
        return False
    real = device not in ("meta", "none", "") and (probe.device != "cuda" or device != "cpu")
    threads = record.threads == THREADS or (probe.every_core and record.threads > THREADS)
    return record.precision == probe.precision and threads and (real or probe.device in ("meta", "cpu"))


class Evidence:
    """Successful records from one place (machine, device, threads, precision), and the plan that says which of them count."""

    def __init__(self, records: Iterable[Record], plan: Plan) -> None:
        self._plan = plan
        self._found = {(r.key, r.metric): r for r in records if plan.has(r)}

    def runs(self, selector: Selector, scale: str) -> list[Group]:
        """The runs of each recipe over its seeds; none unless a case of ``scale`` itself is among them.

        With ``draws`` (data sets that are draws of one definition) they are the runs over seeds and draws together.
        """
        varies = ("seed", "dataset") if "draws" in selector else ("seed",)
        return self._groups(selector, scale, lambda case: _without(case, *varies), lambda case: case["seed"])

    def curves(self, selector: Selector, scale: str, first: int, last: int) -> list[Group]:
        """Each curve over T, from T = ``first`` to ``last``."""
        return self._groups(
            selector, scale, lambda case: _without(case, "T"), lambda case: case["T"],
            asked=lambda case: first <= case["T"] <= last,
        )  # fmt: skip

    def all(self, selector: Selector, scale: str, free: Collection[str] | None = ()) -> Group | None:
        """Everything that the selector asks for as one group; ``free``: options that may vary, None for every option."""
        found = self._groups(selector, scale, lambda case: "", lambda case: json.dumps(case, sort_keys=True), free=free)
        return found[0] if found else None

    def grids(self, selector: Selector, scale: str) -> list[Group]:
        """Each design space (see bench/design_space.py), its cells and seeds in a fixed order."""
        return self._groups(
            selector, scale, without_cell, lambda case: json.dumps(case, sort_keys=True), free=OF_THE_CELL,
            asked=lambda case: cell_of(case) is not None,
        )  # fmt: skip

    def _groups(
        self,
        selector: Selector,
        scale: str,
        alike: Callable[[CaseFields], object],
        order: Callable[[CaseFields], int | str],
        *,
        free: Collection[str] | None = (),
        asked: Callable[[CaseFields], bool] = lambda _: True,
    ) -> list[Group]:
        highest, reached = SCALES.index(scale), False
        groups: dict[str, list[tuple[_Planned, Record | None]]] = {}
        for planned in self._plan.by_probe.get(selector["probe"], []):
            if planned.scale <= highest and matches(selector, planned.case, free) and asked(planned.case):
                record = self._number(planned.key, selector)
                reached |= record is not None and planned.scale == highest
                groups.setdefault(json.dumps(alike(planned.case), sort_keys=True), []).append((planned, record))
        if not reached:
            return []
        found = []
        for _, members in sorted(groups.items()):
            members.sort(key=lambda member: order(member[0].case))
            records = tuple(record for _, record in members if record is not None)
            found.append(Group(records, tuple(planned.key for planned, record in members if record is None)))
        return found

    def _number(self, key: str, selector: Selector) -> Record | None:
        """The record, with the entry of its detail that the selector names as its value; None where there is no finite number."""
        record = self._found.get((key, selector["metric"]))
        if record is None or ("device" in selector and apart(record.device)[1] in ("cpu", "meta", "none")):
            return None
        value = record.detail.get(selector["detail"]) if "detail" in selector else record.value
        return replace(record, value=value) if finite(value) else None


def finite(value: object) -> TypeGuard[float]:
    """Whether it is a finite number: neither text nor what a diverged run leaves ('nan', 'inf')."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max  # false for nan; math.isfinite raises for a whole number that no float holds


def matches(selector: Selector, case: CaseFields, free: Collection[str] | None = ()) -> bool:
    """Whether a case has every field and option that the selector asks for, and no other option.

    An option that is not named must be at its default, that is, not be given; those under ``any`` and in ``free`` may be.
    "unset" asks for the default, against what is inherited.
    """
    if any(case.get(name) != wanted for name, wanted in selector.items() if name not in NOT_OF_A_CASE):
        return False
    if case["dataset"] not in selector.get("draws", [case["dataset"]]):
        return False
    options, named = case["options"], selector.get("options", {})
    if any(options.get(name, "unset") != wanted for name, wanted in named.items()):
        return False
    return free is None or set(options) <= {*named, *selector.get("any", ()), *free}


def _without(case: CaseFields, *left_out: str) -> dict[str, object]:
    return {name: value for name, value in case.items() if name not in (*left_out, "scale")}


def rank(records: Sequence[Record]) -> tuple[int, str]:
    """The highest scale, then the latest time."""
    return max(SCALES.index(r.case["scale"]) for r in records), max(r.when for r in records)
