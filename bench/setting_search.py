"""Which settings could have given what a paper reports? Changes against BPTT, over all settings and conventions counted.

A setting is a network, T, batch and an algorithm's options; its change in a quantity is 100 (x / x_BPTT - 1) per cent, x counted
on the same network, T and batch. A quantity has several conventions of counting; papers seldom say which is theirs. A setting
agrees with a report in one convention if its change lies within a tolerance of it, and with several reports at once if it does in
some convention of each. How few settings agree says how well the report identifies them; the chance level, how many reports of
similar size some setting would have agreed with as well, and so whether agreement means anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.record import Record


@dataclass(frozen=True)
class Convention:
    """A way of counting: a record's value, or the entry of its detail where ``detail`` names one."""

    quantity: str
    name: str
    metric: str
    detail: str = ""

    def of(self, record: Record) -> float | None:
        value = record.detail.get(self.detail) if self.detail else record.value
        return float(value) if isinstance(value, int | float) else None


NEAR = 10.0  # points around a report within which its chance level is taken
CONVENTIONS = (
    Convention("memory", "peak live bytes", "peak_live_bytes"),
    Convention("memory", "of these saved for backward", "peak_live_bytes", "saved for backward"),
    Convention("memory access", "every operator's reads and writes", "traffic_bytes"),
    Convention("memory access", "weights alone", "traffic_bytes", "weights"),
    Convention("memory access", "weights and what is saved for backward", "traffic_bytes", "weights and saved"),
    Convention("MACs", "all products", "step_macs"),
    Convention("MACs", "products without a spike", "step_multiplications"),
    Convention("MACs", "back-propagated errors alone", "step_macs", "error to input"),
)


@dataclass(frozen=True)
class Report:
    """A relative change against BPTT in per cent, as printed, and how far a count may be from it."""

    change: float
    tolerance: float


@dataclass(frozen=True)
class Setting:
    """What was counted, and its change against BPTT by convention, in per cent."""

    network: str
    T: int
    batch: int
    options: tuple[tuple[str, object], ...]
    changes: Mapping[Convention, float]

    def __str__(self) -> str:
        options = ", ".join(f"{name} = {value}" for name, value in self.options)
        return f"{self.network}, T = {self.T}, {options}"

    def has(self, quantity: str) -> bool:
        """Whether ``quantity`` was counted, in any convention."""
        return any(convention.quantity == quantity for convention in self.changes)

    def agrees(self, quantity: str, report: Report) -> list[Convention]:
        """The conventions of ``quantity`` in which this setting gives what is reported."""
        return [c for c, change in self.changes.items() if c.quantity == quantity and _near(change, report)]


_Place = tuple[str, int, int, str, tuple[tuple[str, object], ...]]  # network, T, batch, algorithm, options


def settings(records: Iterable[Record], algorithm: str) -> list[Setting]:
    """All settings of ``algorithm`` whose BPTT was counted too, native backend, in a fixed order."""
    values: dict[_Place, dict[Convention, float]] = {}
    for record in records:
        case = record.case
        if case["probe"] != "cost" or case["backend"] != "native" or case["algorithm"] not in ("bptt", algorithm):
            continue
        if "optimizer" in case["options"]:  # its state would be on one side of the change only
            continue
        options = tuple(sorted(case["options"].items()))
        place = (case["network"], case["T"], case["batch"], case["algorithm"], options)
        for convention in CONVENTIONS:
            value = convention.of(record) if convention.metric == record.metric else None
            if value is not None:
                values.setdefault(place, {})[convention] = value
    found = []
    for (network, T, batch, name, options), counted in values.items():
        bptt = values.get((network, T, batch, "bptt", ()), {})
        if name == algorithm and bptt:
            changes = {c: 100 * (counted[c] / bptt[c] - 1) for c in CONVENTIONS if c in counted and bptt.get(c)}
            found.append(Setting(network, T, batch, options, changes))
    return sorted(found, key=lambda s: (s.network, s.T, s.batch, repr(s.options)))


def fits(found: Sequence[Setting], convention: Convention, report: Report) -> list[Setting]:
    """The settings that agree with a report in one convention."""
    return [s for s in found if convention in s.changes and _near(s.changes[convention], report)]


def agreeing_with_all(found: Sequence[Setting], reports: Mapping[str, Report]) -> list[Setting]:
    """The settings that agree with every report, each in some convention of its quantity."""
    return [s for s in found if all(s.agrees(quantity, report) for quantity, report in reports.items())]


def nearest(found: Sequence[Setting], reports: Mapping[str, Report]) -> Setting:
    """The setting whose worst report is least far off, in percentage points, each in its best convention."""
    return min(found, key=lambda s: (distance(s, reports), str(s)))


def distance(setting: Setting, reports: Mapping[str, Report]) -> float:
    """Percentage points by which the worst report is missed, each in its best convention."""
    return max(
        min(abs(change - report.change) for c, change in setting.changes.items() if c.quantity == quantity)
        for quantity, report in reports.items()
    )


def chance_level(found: Sequence[Setting], reports: Mapping[str, Report]) -> float:
    """The share of reports, drawn uniformly within NEAR points of these and above -100 %, with which some setting would agree.

    Of one quantity it is exact: the length of the union of [change - tolerance, change + tolerance] over all settings and
    conventions. Of several at once it is a bound from above: the least of the quantities' own, and no more than the settings'
    shares added up.
    """
    single = [_share_met(found, quantity, report) for quantity, report in reports.items()]
    joint = sum(math.prod(_share_met([setting], quantity, report) for quantity, report in reports.items()) for setting in found)
    return min(*single, joint) if len(single) > 1 else single[0]


def _share_met(found: Sequence[Setting], quantity: str, report: Report) -> float:
    """The share of the reports of one quantity near ``report`` with which some of the settings would agree."""
    low, high = max(report.change - NEAR, -100.0), report.change + NEAR
    ends = sorted(
        (max(change - report.tolerance, low), min(change + report.tolerance, high))
        for setting in found
        for convention, change in setting.changes.items()
        if convention.quantity == quantity
    )
    covered, reached = 0.0, low
    for start, end in ends:
        covered += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return covered / (high - low)


def _near(change: float, report: Report) -> bool:
    return abs(change - report.change) <= report.tolerance + 1e-9
