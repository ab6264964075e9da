"""Rules ratio, memory_ratio and at_least on both sides of their bounds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bench.claims.claim import Claim
from bench.claims.estimate import median_interval
from bench.claims.rules import Finding, Missing
from bench.overhead import OVERHEAD
from bench.record import Record
from tests.ledger.finding import MakeClaim, MakeRecord, around, find, found, seeds


@pytest.mark.parametrize(("top", "holds"), [(20, "yes"), (30, "yes"), (19.99, "no"), (30.01, "exceeded")])
def test_ratio_of_counts(claim: MakeClaim, record: MakeRecord, top: float, holds: str) -> None:
    c = claim("ratio", low=2, high=3, direction="more", select={"probe": "cost"}, over={"algorithm": "sltt"})
    finding = found(c, record(top, probe="cost"), record(10, probe="cost", algorithm="sltt"))
    assert finding.holds == holds
    assert "bptt against sltt" in finding.reason


def test_ratio_of_times_has_the_noise_of_its_turns(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("ratio", low=2, high=3, select={"probe": "clock"}, over={"algorithm": "sltt"})
    quiet, noisy = [2.5] * 7, [1.5, 2.0, 2.5, 2.5, 2.5, 3.0, 3.5]

    def timed(value: float, turns: list[float], **more: Any) -> Record:
        return record(value, probe="clock", detail={"raw": turns, "raw native bptt": [1.0] * 7}, **more)

    other = timed(1.0, [1.0] * 7, algorithm="sltt")
    assert found(c, timed(2.5, quiet), other).holds == "yes"
    assert found(c, timed(2.5, noisy), other).holds == "cannot tell"


@pytest.mark.parametrize("turns", range(6, 41))
def test_median_interval_is_the_narrowest_with_95_per_cent_coverage(turns: int) -> None:
    """Counted: the median is outside if fewer than k of n turns lie on one side of it."""
    low, high = median_interval(list(range(turns)))
    outside = [2 * sum(math.comb(turns, i) for i in range(k)) / 2**turns for k in (int(low) + 1, int(low) + 2)]
    assert outside[0] <= 0.05 < outside[1]
    assert low + high == turns - 1


def of_turns(record: MakeRecord, metric: str, raw: Sequence[float], **more: Any) -> Record:
    """The seconds of a row."""
    return record(statistics.median(raw), probe="speed", metric=metric, unit="s", detail={"raw": list(raw)}, **more)


MINE = [1.0, 9.0, 1.1, 1.0, 5.0, 1.2, 1.0, 1.0]  # two slow turns
FLOOR = ("convolutions alone, contiguous", "convolutions alone, channels last")


@pytest.fixture
def against_the_floor(claim: MakeClaim) -> Claim:
    return claim("ratio", low=0, high=1.3, select={"probe": "speed", "metric": FLOOR[0]}, over={"metric": FLOOR[1]})


def test_ratio_of_rows_of_one_run_is_taken_turn_by_turn(against_the_floor: Claim, record: MakeRecord) -> None:
    """A slow turn of both is none of their ratio."""
    mine, other = of_turns(record, FLOOR[0], MINE), of_turns(record, FLOOR[1], [t / 1.2 for t in MINE])
    finding = found(against_the_floor, mine, other)
    assert finding.holds == "yes"
    assert finding.measured == pytest.approx(1.2)
    assert found(against_the_floor, mine, of_turns(record, FLOOR[1], [t / 1.4 for t in MINE])).holds == "no"
    noisy = [t / slow for t, slow in zip(MINE, [1.0, 1.4] * 4, strict=True)]
    assert found(against_the_floor, mine, of_turns(record, FLOOR[1], noisy)).holds == "cannot tell"


@pytest.mark.parametrize(
    "changes",
    [
        {"run": "another"},
        {"value": 0.1},
        {"detail": {"raw": MINE[:7]}},
        {"detail": {"raw": [*MINE[:7], 0.0]}},
        {"detail": {"raw": "MINE"}},
        {"detail": {}},
    ],
    ids=str,
)
def test_ratio_of_rows_cannot_tell_unless_timed_in_the_same_turns(
    against_the_floor: Claim, record: MakeRecord, changes: Mapping[str, Any]
) -> None:
    mine, other = of_turns(record, FLOOR[0], MINE), of_turns(record, FLOOR[1], MINE)
    assert found(against_the_floor, mine, other).holds == "yes"
    assert found(against_the_floor, mine, replace(other, **changes)).holds == "cannot tell"


def test_ratio_of_rows_cannot_tell_from_few_turns(against_the_floor: Claim, record: MakeRecord) -> None:
    sides = [of_turns(record, metric, MINE[:5]) for metric in FLOOR]
    assert found(against_the_floor, *sides).holds == "cannot tell"


def test_ratio_to_several_backends_is_the_worst_and_needs_all(claim: MakeClaim, record: MakeRecord) -> None:
    rivals = {"bptt on snntorch": 0.5, "bptt on spikingjelly": 0.6}
    c = claim(
        "ratio", low=0, high=0.65, select={"probe": "speed", "metric": "bptt on native-fast"}, over={"metric": list(rivals)}
    )
    mine = of_turns(record, "bptt on native-fast", MINE)
    others = [of_turns(record, metric, [t / ratio for t in MINE]) for metric, ratio in rivals.items()]
    assert found(c, mine, *others).holds == "yes"
    lost = found(c, mine, others[0])
    assert (lost.holds, lost.complete) == ("cannot tell", False)
    slow = of_turns(record, "bptt on spikingjelly", [t / 0.7 for t in MINE])
    assert found(c, mine, others[0], slow).holds == "no"
    assert isinstance(find(c, *others), Missing)


@pytest.mark.parametrize(("top", "bottom"), [(1, 0), (math.nan, 1), (1, math.nan), (math.inf, 1)])
@pytest.mark.parametrize("rule", ["ratio", "memory_ratio"])
def test_ratio_that_is_not_finite_never_holds(claim: MakeClaim, record: MakeRecord, rule: str, top: float, bottom: float) -> None:
    c = claim(rule, low=-1e308, high=1e308, select={"probe": "cost"}, over={"algorithm": "sltt"})
    finding = find(c, record(top, probe="cost"), record(bottom, probe="cost", algorithm="sltt"))
    assert isinstance(finding, Missing) or finding.holds == "cannot tell"


MIB = 2**20


def memory(claim: MakeClaim, **bounds: Any) -> Claim:
    select = {"probe": "cost", "metric": "peak_live_bytes"}
    return claim("memory_ratio", scale="laptop", select=select, over={"algorithm": "sltt"}, direction="more", **bounds)


@pytest.mark.parametrize(
    ("top", "bottom", "holds"),
    [(3000, 1000, "cannot tell"), (250_000, 100_000, "yes"), (150_000, 100_000, "no"), (400_000, 100_000, "exceeded"),
     (3327, 1000, "cannot tell")],
)  # fmt: skip
def test_memory_ratio_of_live_bytes_decides_only_if_no_overhead_changes_it(
    claim: MakeClaim, record: MakeRecord, top: int, bottom: int, holds: str
) -> None:
    of = {"probe": "cost", "metric": "peak_live_bytes", "scale": "laptop", "device": "meta"}
    finding = found(memory(claim, low=2, high=3), record(top * MIB, **of), record(bottom * MIB, algorithm="sltt", **of))
    low, high = OVERHEAD.ratio_interval(top * MIB, bottom * MIB)
    assert finding.holds == holds
    assert f"{low:.3g} to {high:.3g} with what a GPU holds beside them" in finding.reason


@pytest.mark.parametrize(("allocated", "reserved", "holds"), [(2.5, 2.9, "yes"), (2.5, 3.1, "cannot tell"), (4, 5, "exceeded")])
def test_memory_ratio_uses_cudas_peaks_if_there_are_any(
    claim: MakeClaim, record: MakeRecord, allocated: float, reserved: float, holds: str
) -> None:
    live = {"probe": "cost", "metric": "peak_live_bytes", "scale": "laptop"}
    records = [record(9.0, **live), record(1.0, algorithm="sltt", **live)]
    for metric, value in (("peak_allocated_bytes", allocated), ("peak_reserved_bytes", reserved)):
        cuda = {"probe": "cuda-memory", "metric": metric, "device": "NVIDIA"}
        records += [record(value, **cuda), record(1.0, algorithm="sltt", **cuda)]
    finding = found(memory(claim, low=2, high=3), *records)
    assert (finding.holds, finding.measured) == (holds, allocated)
    assert "CUDA allocated" in finding.reason


def test_ratio_on_a_gpu_ignores_records_of_other_devices(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("ratio", low=0, high=9, select={"probe": "cost", "device": "gpu"}, over={"algorithm": "sltt"})
    for device, there in (("cpu", False), ("meta", False), ("NVIDIA H100", True)):
        answer = find(c, *(record(1, probe="cost", algorithm=a, device=device) for a in ("bptt", "sltt")))
        assert isinstance(answer, Finding) == there


@pytest.mark.parametrize(
    ("changes", "mean", "holds"),
    [({}, 70.2, "yes"), ({}, 69.8, "no"), ({}, 70.1, "yes"), ({}, 70.05, "cannot tell"),
     ({"value": 1.0}, 71.2, "yes"), ({"value": 1.0}, 70.99, "cannot tell"), ({"value": 1.0, "tolerance": 0.2}, 70.91, "yes")],
)  # fmt: skip
def test_at_least_compares_the_interval_of_the_difference_with_its_bound(
    claim: MakeClaim, record: MakeRecord, changes: dict[str, Any], mean: float, holds: str
) -> None:
    """The other side has no spread, so that the difference has the interval of this one: +- 0.1."""
    c = claim("at_least", over={"algorithm": "sltt"}, **changes)
    assert found(c, *around(record, mean, 0.0999), *seeds(record, 70.0, 70.0, 70.0, algorithm="sltt")).holds == holds


def test_at_least_adds_the_sampling_noise_of_both_test_sets(claim: MakeClaim, record: MakeRecord) -> None:
    """Each side 1.96 sqrt(0.9 * 0.1 / 1000): 1.86 points; together 2.63."""
    c = claim("at_least", over={"algorithm": "sltt"})
    arms = [*seeds(record, 90.0, 90.0, detail={"test images": 1000})]
    lower = [*seeds(record, 87.4, 87.4, algorithm="sltt", detail={"test images": 1000})]
    much_lower = [*seeds(record, 87.0, 87.0, algorithm="sltt", detail={"test images": 1000})]
    assert found(c, *arms, *lower).holds == "cannot tell"
    assert found(c, *arms, *much_lower).holds == "yes"
    unknown = [*seeds(record, 1.0, 1.0, algorithm="sltt", detail={})]
    assert found(c, *arms, *unknown).holds == "cannot tell"
