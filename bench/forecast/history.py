"""What trainings have taken here: seconds per sample of finished epochs, by kind of training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.case import Case
from bench.readers import number, whole
from bench.record import Record

Kind = str  # of trainings that take equally long per sample


@dataclass(frozen=True)
class Seen:
    """Samples that were trained on, and the seconds that this took."""

    samples: int = 0
    seconds: float = 0.0

    def __add__(self, other: Seen) -> Seen:
        return Seen(self.samples + other.samples, self.seconds + other.seconds)


def kind_of(case: Case) -> Kind:
    """Return what decides how long a sample takes: all but the seed and how many samples and epochs there are."""
    fields = [case.network, case.algorithm, case.backend, case.dataset, case.T, case.batch]
    return json.dumps([*fields, sorted(case.algorithm_options.items())])


def finished_epochs(records: Iterable[Record], machine: str, device: str) -> dict[Kind, Seen]:
    """Add up the finished epochs that were trained on a device of a machine, by kind of training."""
    seen: dict[Kind, Seen] = {}
    for record in records:
        here = (record.machine, record.device) == (machine, device)
        if here and record.case["probe"] == "training" and record.status == "ok" and record.metric.startswith("epoch "):
            kind = kind_of(Case.of(record.case))
            seen[kind] = seen.get(kind, Seen()) + _seen(record.detail)
    return seen


def _seen(part: Mapping[str, object]) -> Seen:
    return Seen(whole(part["images"], "images"), number(part["seconds"], "seconds"))
