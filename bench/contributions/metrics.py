"""The metrics that each probe measures, and their units."""

from __future__ import annotations

import re
from collections.abc import Mapping

from bench.case import Case
from bench.registry import UNITS
from bench.speed.rows import TIMING, rows

_LIVE = {"peak_live_bytes": "B", "step_macs": "MAC", "step_multiplications": "MAC", "traffic_bytes": "B"}
_CUDA = {"peak_allocated_bytes": "B", "peak_reserved_bytes": "B"}
_OPERATIONS = {"accumulations": "AC", "macs_with_spikes": "MAC", "energy": "J"}
METRICS: Mapping[str, Mapping[str, str]] = {  # by probe: the unit of each metric, whose name is a regular expression
    "count": {"parameters": "1", "forward_macs": "MAC"},
    "cost": _LIVE,
    "cost-half": {"peak_live_bytes_half": "B"},
    "equivalence": {"gate": "pass/fail"},
    "gradient": {"gradient_cosine": "1", "gradient_norm": "x BPTT's"},
    "alignment": {r"gradient_cosine after \d+": "1"},
    "training": {
        r"epoch \d+": "%", "test_accuracy": "%", "test_accuracy_best": "%", "train_test_gap": "points", "chance": "%",
        "firing_rate": "spikes/neuron/step",
    },
    "clock": {"step_time_ratio": "x native BPTT"},
    "cuda-memory": _CUDA,
    "cuda-memory-half": _CUDA,
    "longest": {r"longest T on a \d+ GiB card": "steps"},
    "coefficients": {"formula_error": "1"},
    "energy": {f"{what}_{name}": unit for what in ("inference", "training") for name, unit in _OPERATIONS.items()},
    "activity": {"skipped_activity": "%"},
    "events": {"event_rate": "events/pixel/s"},
}  # fmt: skip
TEXTS = {"equivalence": ("pass", "fail")}  # of a probe whose values are no numbers


def unit_of(case: Case, metric: str) -> str | None:
    """Return the unit of a metric of a case; None if its probe measures no such metric. A probe must be in METRICS or TIMING."""
    if case.probe in TIMING:
        return "s" if metric in map(str, rows(case.T)) else None
    return next((unit for name, unit in METRICS[case.probe].items() if re.fullmatch(name, metric)), None)


def problem_of(case: Case, metric: str, unit: str) -> str:
    """Return what is wrong with the metric of a record or its unit; of a probe without an entry here any metric is taken."""
    if case.probe not in (*METRICS, *TIMING):
        return "" if unit in UNITS else f"{metric} is in {unit!r}, a unit of no metric"
    known = unit_of(case, metric)
    if known is None:
        return f"probe {case.probe} measures no {metric!r}"
    return "" if unit == known else f"{metric} is in {unit!r} and not in {known!r}"
