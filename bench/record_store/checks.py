"""Which lines are rejected, with the reason, and which cases lack some of their lines."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from bench.case import Case
from bench.errors import UserError
from bench.record import Record, Status, apart
from bench.record_store.counting import DoneKey, done_key
from bench.record_store.lines import LeftOut, Line, measure_again

_RANGE = {"%": (0, 100), "B": (0, math.inf), "MAC": (0, math.inf)}  # of a value, by its unit
_UNITS = {"test_accuracy": "%", "test_accuracy_best": "%", "train_test_gap": "points"}  # the estimate of noise depends on it
_COMMIT = re.compile(r"[0-9a-f]{7,40}\+?|tree-[0-9a-f]{12}\+")  # see bench.runner.store.commit_of


def why_rejected(path: Path, line: Line, gpus: Sequence[str]) -> LeftOut | None:
    """Return why a record is rejected, if it is."""
    record = line.record
    try:
        case = Case.of(record.case)
        key = case.key
    except (UserError, TypeError) as error:
        return LeftOut(path, line.number, f"left out: its case is not valid ({error}); {measure_again(path)}")
    problem = ""
    if record.key != key:
        problem = f"its key {record.key} is not that of its case, {key}"
    elif case.paper != path.stem:
        problem = f"a record of paper {case.paper!r} in the file of {path.stem!r}"
    elif record.machine != path.parent.name:
        problem = f"a record of machine {record.machine!r} in the folder of {path.parent.name!r}"
    elif not _COMMIT.fullmatch(record.commit):
        problem = f"its commit {record.commit!r} is not the name of a commit"
    elif record.status not in get_args(Status):
        problem = f"its status {record.status!r} is not a known one"
    elif not _has(record.device, gpus):
        problem = f"computed on {record.device!r}, and machine {record.machine} has no such GPU"
    elif record.unit != _UNITS.get(record.metric, record.unit):
        problem = f"its unit {record.unit!r} is not that of {record.metric}"
    elif isinstance(record.value, int | float) and not _in_range(record.value, record.unit):
        problem = f"its value {record.value} {record.unit} is impossible"
    else:
        problem = _contradiction(record.detail, case.settings)
    return LeftOut(path, line.number, f"left out: {problem}; delete the line and run again") if problem else None


def _has(device: str, gpus: Sequence[str]) -> bool:
    """Whether a machine with these GPUs has a device, and enough of them for several processes."""
    processes, each = apart(device)
    alike = sum(map(each.startswith, gpus))  # a slice of a GPU adds to its name
    return alike >= processes or each == "cpu" or (processes == 1 and each in ("meta", "none"))


def _in_range(value: float, unit: str) -> bool:
    low, high = _RANGE.get(unit, (-math.inf, math.inf))
    return low <= value <= high


def _contradiction(detail: Mapping[str, object], options: Mapping[str, object]) -> str:
    """Where the detail of a training has another recipe or other numbers of samples than its case asks for."""
    recipe = detail.get("recipe", {})
    used = {**(recipe if isinstance(recipe, Mapping) else {})}
    used |= {f"{part}_images": detail[f"{part} images"] for part in ("train", "test") if f"{part} images" in detail}
    rejected = [name for name, asked in options.items() if name in used and used[name] != asked]
    return f"its detail says {rejected[0]} = {used[rejected[0]]!r}, its case {options[rejected[0]]!r}" if rejected else ""


def complete_cases(path: Path, lines: Sequence[Line]) -> tuple[list[Record], list[LeftOut]]:
    """The records of cases whose lines are all there; the others, but for those that a later run has measured whole."""
    groups: dict[tuple[DoneKey, str], list[Line]] = {}
    for line in lines:
        groups.setdefault((done_key(line.record), line.record.run), []).append(line)
    complete = {group for group, found in groups.items() if len({line.record.metric for line in found}) >= found[-1].of}
    repaired = {done_key for done_key, _ in complete}
    left_out = [
        LeftOut(
            path, found[-1].number,
            f"left out: {found[-1].record.key} has {len(found)} of its {found[-1].of} lines; run again to measure it again",
        )
        for group, found in groups.items()
        if group not in complete and group[0] not in repaired
    ]  # fmt: skip
    return [line.record for line in lines if (done_key(line.record), line.record.run) in complete], left_out
