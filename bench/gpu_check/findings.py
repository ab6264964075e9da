"""What the records of a step's cases say, in words: the few numbers that its line shows. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bench.gpu_check.selection import ALGORITHM, PAPER
from bench.quantity import decimal, significant, size
from bench.record import Record

BACKEND, T = "native", 6  # of the peaks shown
SHOWN = 3  # ratios of seconds
_PEAKS = {"peak_allocated_bytes": "allocated", "peak_reserved_bytes": "reserved", "peak_live_bytes": "live"}


def found(step: str, records: Iterable[Record]) -> str:
    """Return the findings of a step's records; "" if there are none, or if the step measures no cases."""
    measured = [record for record in records if record.status == "ok"]
    words = {"memory": _peaks, "speed": _ratios, "training": _training}.get(step)
    return words(measured) if words else ""


def _peaks(records: Sequence[Record]) -> str:
    """Allocated, reserved and live bytes of BPTT and OTTT-A at OTTT's T, where all three are there."""
    of: dict[str, dict[str, float]] = {}
    for record in records:
        case = record.case
        shown = (case["paper"], case["backend"], case["T"]) == (PAPER, BACKEND, T) and case["algorithm"] in ("bptt", ALGORITHM)
        if shown and record.metric in _PEAKS:
            of.setdefault(f"{case['network']} {case['algorithm']}", {})[record.metric] = record.number
    whole = {name: peaks for name, peaks in of.items() if set(peaks) == set(_PEAKS)}
    each = (f"{name}: " + ", ".join(f"{size(peaks[m])} {word}" for m, word in _PEAKS.items()) for name, peaks in whole.items())
    return f"at T = {T}, {'; '.join(each)}" if whole else ""


def _ratios(records: Sequence[Record]) -> str:
    ratios = [record for record in records if record.metric == "step_time_ratio" and record.case["algorithm"] != "bptt"]
    each = (f"{r.case['algorithm']} on {r.case['network']} {significant(r.number)}" for r in ratios[:SHOWN])
    return f"seconds over native BPTT's: {', '.join(each)}" if ratios else ""


def _training(records: Sequence[Record]) -> str:
    accuracy = next((record for record in records if record.metric == "test_accuracy"), None)
    if accuracy is None:
        return ""
    epochs = [record.detail for record in records if record.metric.startswith("epoch ") and record.key == accuracy.key]
    part = f" on {accuracy.detail['part']}" if "part" in accuracy.detail else ""
    return (
        f"{accuracy.case['network']}: test accuracy {decimal(accuracy.number, 1)} % after {len(epochs)} epochs{part}"
        + _speed_of(epochs)
    )


def _speed_of(epochs: Sequence[Mapping[str, object]]) -> str:
    images, taken = (
        sum(n for epoch in epochs if isinstance(n := epoch.get(name), int | float)) for name in ("images", "seconds")
    )
    return f", {significant(images / taken)} images/s" if taken else ""
