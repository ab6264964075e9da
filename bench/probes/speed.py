"""Seconds of every training step on a workload (network, T, batch): all rows in turns, each in a process of its own.

The rows are the registry's (``against``) and the convolutions alone (bench/speed). A row has its own process, so that rows do not
share allocator, threads or caches. They take turns, so that a slow moment of the machine affects all of them. The value is the
median over the turns; two rows are compared turn by turn (bench/claims/estimate.py), which needs the seconds of each.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from bench import backends
from bench.case import Case
from bench.errors import Unavailable, UserError
from bench.measurement import Measurement
from bench.options import Declared, whole
from bench.probes.resources import Resources
from bench.registry import PROBES
from bench.speed import timing
from bench.speed.rows import FLOOR, Row, Workload, rows
from bench.speed.steps import able
from bench.speed.turns import Timed, run

VERSION = 1


@dataclass(frozen=True)
class Options(Declared):
    turns: int | None = whole(None, least=timing.LEAST, meaning="timed turns; None: as many as fit into a minute, 6 to 25")


def measure(case: Case, resources: Resources) -> list[Measurement]:
    """Return one Measurement per row; without a value, and with the reason, for a row that this network cannot have.

    Raises UserError unless the case is of native BPTT, and Unavailable if a row's backend cannot run on this machine: a workload
    is timed with all its rows or not at all, so that no missing rival makes the others look better.
    """
    if (case.algorithm, case.backend) != ("bptt", "native"):
        raise UserError(f"probe {case.probe} times every row of a workload; write its case with bptt on native")
    if PROBES[case.probe].device == "cuda" and resources.device != "cuda":
        raise Unavailable("needs an NVIDIA GPU: it times training steps there")
    for backend in dict.fromkeys(backend for _, backend in PROBES[case.probe].against):
        if not (there := backends.available(backend)):
            raise Unavailable(f"backend {backend}, which the others are compared with: {there.reason}")
    turns = Options.named(f"probe {case.probe}", case.probe_options).turns
    return measured(Workload(case.network, case.T, case.batch), rows(case.T), resources.device, resources.threads, turns)


def measured(workload: Workload, wanted: Iterable[Row], device: str, threads: int, turns: int | None) -> list[Measurement]:
    """Time the rows that can run; see ``measure``."""
    answers = {row: able(workload, row) for row in wanted}
    timed = run(workload, [row for row, answer in answers.items() if answer], device, threads, turns)
    refused = [_measurement(row, None, {"refused": answer.reason}) for row, answer in answers.items() if not answer]
    return [*(_seconds(each) for each in timed), *refused]


def _seconds(timed: Timed) -> Measurement:
    return _measurement(timed.row, statistics.median(timed.seconds), {"raw": list(timed.seconds), "kernel": timed.kernel})


def _measurement(row: Row, value: float | None, detail: dict[str, object]) -> Measurement:
    about = {} if row.algorithm == FLOOR else {"algorithm": row.algorithm, "backend": row.backend, "options": dict(row.options)}
    return Measurement(str(row), value, "s", VERSION, {**about, **detail})
