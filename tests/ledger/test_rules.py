"""Every rule on both sides of its bound."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from bench.claims import rules
from bench.claims.claim import Claim
from bench.claims.estimate import T_95, median_interval
from bench.claims.evidence import Evidence, Plan
from bench.claims.rules import RULES, Finding, Missing, printed_number
from bench.design_space import Cell, setting
from bench.errors import UserError
from bench.overhead import OVERHEAD
from bench.record import Record
from tests.ledger.conftest import planned

MakeRecord = Callable[..., Record]
MakeClaim = Callable[..., Claim]


def find(claim: Claim, *records: Record, lost: Sequence[Record] = ()) -> Finding | Missing:
    """``lost``: planned, and not there."""
    (measure,) = claim.parts
    return rules.find(claim, measure, Evidence(records, Plan(planned(*records, *lost))))


def found(claim: Claim, *records: Record, lost: Sequence[Record] = ()) -> Finding:
    finding = find(claim, *records, lost=lost)
    assert isinstance(finding, Finding), finding
    return finding


def seeds(record: MakeRecord, *values: Any, **more: Any) -> list[Record]:
    """One record a seed."""
    return [record(value, seed=seed, **more) for seed, value in enumerate(values)]


def around(record: MakeRecord, mean: float, half: float, **more: Any) -> list[Record]:
    """Three seeds whose interval is mean +- half."""
    step = half * math.sqrt(3) / T_95[1]
    return seeds(record, mean - step, mean, mean + step, **more)


# --------------------------------------------------------------------------- within


@pytest.mark.parametrize(
    ("mean", "half", "holds"),
    [(90.3, 0.2, "yes"), (89.7, 0.2, "yes"), (90.3, 0.21, "partly"), (90.7, 0.3, "partly"), (90.7, 0.31, "cannot tell"),
     (91.5, 0.4, "no"), (88.5, 0.4, "no"), (90.0, 5.0, "cannot tell")],
)  # fmt: skip
def test_within_compares_the_interval_over_seeds_with_the_bounds(
    claim: MakeClaim, record: MakeRecord, mean: float, half: float, holds: str
) -> None:
    c = claim("within", value=90.0, tolerance=0.5, partly=1.0, printed="90.0")
    finding = found(c, *around(record, mean, half))
    assert (finding.holds, finding.n) == (holds, 3)
    assert finding.measured == pytest.approx(mean)
    assert "95 % interval" in finding.reason


@pytest.mark.parametrize(
    ("direction", "above", "below"), [("more", "exceeded", "no"), ("less", "no", "exceeded"), (None, "no", "no")]
)
def test_within_is_exceeded_beyond_the_bound_in_the_claims_direction(
    claim: MakeClaim, record: MakeRecord, direction: str | None, above: str, below: str
) -> None:
    c = claim("within", value=90.0, tolerance=0.5, printed="90.0", **({"direction": direction} if direction else {}))
    assert found(c, *around(record, 92, 0.1)).holds == above
    assert found(c, *around(record, 88, 0.1)).holds == below


def test_within_is_never_partly_without_a_second_tolerance(claim: MakeClaim, record: MakeRecord) -> None:
    assert found(claim("within", value=90.0, tolerance=0.5), *around(record, 90.8, 0.1)).holds == "no"


def test_within_cannot_tell_from_one_run(claim: MakeClaim, record: MakeRecord) -> None:
    finding = found(claim("within", value=90.0, tolerance=0.5), record(90.0))
    assert (finding.holds, finding.n) == ("cannot tell", 1)
    assert "one run has no spread" in finding.reason


def test_within_compares_counts_exactly_in_decimals(claim: MakeClaim, record: MakeRecord) -> None:
    """0.1 + 0.2 is a hair above 0.3: a bound that is met in decimals is met."""
    c = claim("within", value=0.3, tolerance=0.0, select={"probe": "cost"})
    assert found(c, record(0.1 + 0.2, probe="cost")).holds == "yes"


def test_within_reports_spread_and_best_run(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=90.0, tolerance=9.5, n=3, spread=0.2, best=91.0)
    finding = found(c, *seeds(record, 89.0, 90.0, 92.0))
    assert (finding.holds, finding.n) == ("yes", 3)
    assert finding.spread == pytest.approx(math.sqrt(7 / 3))
    assert "best run 92 against 91" in finding.reason


def test_within_is_partly_with_fewer_runs_than_reported(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=90.0, tolerance=0.5, n=3)
    two = found(c, *seeds(record, 90.0, 90.01))
    assert (two.holds, two.n) == ("partly", 2)
    assert "2 of the 3 runs reported" in two.reason
    assert found(c, *seeds(record, 95.0, 95.01)).holds == "no"  # a miss stays a miss
    assert found(c, *seeds(record, 90.0, 90.01, 90.02, 90.03)).holds == "yes"  # more than reported is enough


def test_within_adds_sampling_noise_for_a_part_of_the_test_set(claim: MakeClaim, record: MakeRecord) -> None:
    """100 recordings at 90 %: standard error 3 points."""
    options = {"test_images": 100}
    c = claim("within", value=90.0, tolerance=4.0, select={"options": options})
    small = {"test images": 100}
    whole = claim("within", value=90.0, tolerance=4.0)
    assert found(whole, *around(record, 90, 0.1, detail=small)).holds == "yes"
    assert found(c, *around(record, 90, 0.1, detail=small, options=options)).holds == "cannot tell"
    wide = claim("within", value=90.0, tolerance=5.9, select={"options": options})
    assert found(wide, *around(record, 90, 0.1, detail=small, options=options)).holds == "yes"


def test_within_takes_differences_seed_by_seed_and_a_factor(claim: MakeClaim, record: MakeRecord) -> None:
    """However seeds vary, the difference of each is the same."""
    bptt, other = seeds(record, 3.0, 9.0), seeds(record, 1.0, 7.0, algorithm="sltt")
    difference = found(claim("within", value=2.0, tolerance=0.01, over={"algorithm": "sltt"}), *bptt, *other)
    assert (difference.holds, difference.measured) == ("yes", 2)
    finding = found(claim("within", value=36.0, tolerance=1.0, factor=6), *seeds(record, 6.0, 6.0))
    assert (finding.holds, finding.measured) == ("yes", 36)


# --------------------------------------------------------------------------- what must be there


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, "many", None, True])
def test_value_that_is_not_finite_counts_as_a_lost_run(claim: MakeClaim, record: MakeRecord, bad: Any) -> None:
    c = claim("within", value=90.0, tolerance=1e9, partly=1e10)
    finding = found(c, *seeds(record, 90.0, 90.0, bad))
    assert (finding.holds, finding.n) == ("cannot tell", 2)
    assert "2 of 3 planned runs, which cannot decide it" in finding.reason
    assert isinstance(find(c, record(bad)), Missing)


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_lost_seed_is_mentioned_and_improves_nothing(claim: MakeClaim, record: MakeRecord, lost: int) -> None:
    runs = seeds(record, 50.0, 90.0, 90.0)
    c = claim("within", value=90.0, tolerance=0.5)
    left = [r for i, r in enumerate(runs) if i != lost]
    assert found(c, *left, lost=[runs[lost]]).holds in ("cannot tell", "no")
    assert "2 of 3 planned runs" in found(c, *left, lost=[runs[lost]]).reason


def test_worst_of_several_recipes_decides_and_all_are_mentioned(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=90.0, tolerance=0.5)
    good, bad = around(record, 90, 0.1, batch=2), around(record, 10, 0.1, batch=1)
    finding = found(c, *good, *bad)
    assert (finding.holds, finding.n) == ("no", 3)
    assert "worst of 2 recipes" in finding.reason
    assert "b1/" in finding.reason
    assert "b2/" in finding.reason
    assert found(c, *good, lost=bad).holds == "cannot tell"


OTHER_OPTIONS = {
    "lr": 0.5,
    "alpha": 0.1,
    "optimizer": "adam",
    "weight_decay": 0.1,
    "train_images": 100,
    "test_images": 10,
    "K": 2,
}


@pytest.mark.parametrize("option", OTHER_OPTIONS)
def test_options_that_are_not_named_must_be_at_their_defaults(claim: MakeClaim, record: MakeRecord, option: str) -> None:
    c = claim("within", value=90.0, tolerance=1.0, select={"options": {"epochs": 3}})
    options = {"epochs": 3, option: OTHER_OPTIONS[option]}
    assert isinstance(find(c, *around(record, 90, 0.1, options=options)), Missing)
    named = claim("within", value=90.0, tolerance=1.0, select={"options": options})
    free = claim("within", value=90.0, tolerance=1.0, select={"options": {"epochs": 3}, "any": [option]})
    for asking in (named, free):
        assert isinstance(find(asking, *around(record, 90, 0.1, options=options)), Finding)
    assert isinstance(find(named, *around(record, 90, 0.1, options={"epochs": 3})), Missing)


def test_records_that_are_not_planned_are_no_evidence(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=90.0, tolerance=1.0)
    evidence = Evidence(around(record, 90, 0.1), Plan(planned(record(1, batch=7))))
    assert isinstance(RULES["within"].find(c, c.measure, evidence), Missing)


def test_record_with_the_key_of_another_case_is_no_evidence(claim: MakeClaim, record: MakeRecord) -> None:
    runs, cases = around(record, 90, 0.1), planned(*around(record, 90, 0.1))
    forged = [replace(r, case={**r.case, "network": "other"}) for r in runs]
    c = claim("within", value=90.0, tolerance=1.0)
    assert isinstance(RULES["within"].find(c, c.measure, Evidence(forged, Plan(cases))), Missing)


# --------------------------------------------------------------------------- ratio, memory_ratio, at_least


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


def test_ratio_to_several_rivals_is_the_worst_and_needs_all(claim: MakeClaim, record: MakeRecord) -> None:
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
def test_ratio_that_is_not_finite_never_holds(
    claim: MakeClaim, record: MakeRecord, rule: str, top: float, bottom: float
) -> None:
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
def test_at_least_compares_the_interval_of_the_difference_with_its_bound(claim: MakeClaim, record: MakeRecord, changes: dict[str, Any], mean: float, holds: str) -> None:
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


# --------------------------------------------------------------------------- equal


@pytest.mark.parametrize(
    ("printed", "value", "holds"),
    [("9.2M", 9_150_001, "yes"), ("9.2M", 9_249_999, "yes"), ("9.2M", 9_149_999, "no"), ("9.2M", 9_250_001, "no"),
     ("22M", 21_797_688, "yes"), ("22M", 21_499_999, "no"), ("400", 400, "yes"), ("400", 401, "no"),
     ("1.5k", 1_549, "yes"), ("0.19±0.01", 0.1949, "yes"), ("0.19", 0.1951, "no")],
)  # fmt: skip
def test_equal_rounds_to_what_is_printed(claim: MakeClaim, record: MakeRecord, printed: str, value: float, holds: str) -> None:
    finding = found(claim("equal", printed=printed, value=0.0, select={"probe": "count"}), record(value, probe="count"))
    assert (finding.holds, finding.measured) == (holds, value)
    assert f"printed {printed}" in finding.reason


@pytest.mark.parametrize(
    ("text", "number"),
    [("9.2M", ("9.2", 1, 10**6)), ("≈0.19", ("0.19", 2, 1)), ("93.52±0.06 (93.58)", ("93.52", 2, 1)),
     ("-1", ("-1", 0, 1)), ("3 GB", ("3", 0, 1))],
)  # fmt: skip
def test_printed_number(text: str, number: tuple[str, int, int]) -> None:
    assert printed_number(text) == (Decimal(number[0]), *number[1:])


@pytest.mark.parametrize("text", ["", "flat in T", "> 0", "M"])
def test_printed_number_rejects_text_without_a_number(text: str) -> None:
    with pytest.raises(ValueError, match="does not begin with a number"):
        printed_number(text)


# --------------------------------------------------------------------------- flat, affine

HUGE = 2**60  # bytes that a float cannot tell apart


def over_T(record: MakeRecord, values: dict[int, int]) -> list[Record]:
    return [record(value, T=T) for T, value in values.items()]


@pytest.mark.parametrize(("off", "holds"), [(0, "yes"), (1, "no"), (-1, "no")])
@pytest.mark.parametrize("at", [2, 3, 4])
def test_flat_in_T_is_exact(claim: MakeClaim, record: MakeRecord, at: int, off: int, holds: str) -> None:
    values = {1: 5, 2: HUGE, 3: HUGE, 4: HUGE, 9: 7}  # T outside the claim does not count
    values[at] += off
    finding = found(claim("flat_in_T", from_T=2, to_T=4), *over_T(record, values))
    assert (finding.holds, finding.measured, finding.n) == (holds, abs(off), 3)


@pytest.mark.parametrize(("off", "holds"), [(0, "yes"), (1, "no"), (-1, "no")])
@pytest.mark.parametrize("at", [2, 3, 5])
def test_affine_in_T_is_exact(claim: MakeClaim, record: MakeRecord, at: int, off: int, holds: str) -> None:
    values = {1: 0, 2: HUGE, 3: HUGE + 10, 5: HUGE + 30, 9: 7}
    values[at] += off
    finding = found(claim("affine_in_T", from_T=2, to_T=5), *over_T(record, values))
    assert finding.holds == holds
    assert (finding.measured == 10) == (off == 0)


@pytest.mark.parametrize("slope", [0, -1])
def test_affine_in_T_requires_growth(claim: MakeClaim, record: MakeRecord, slope: int) -> None:
    finding = found(claim("affine_in_T", from_T=2, to_T=4), *over_T(record, {T: 100 + slope * T for T in (2, 3, 4)}))
    assert (finding.holds, finding.measured) == ("no", slope)


@pytest.mark.parametrize("rule", ["flat_in_T", "affine_in_T"])
@pytest.mark.parametrize("steps", [(), (2, 4), (2, 3), (3, 4), (1, 2, 3, 5)])
def test_curves_need_both_ends_and_a_point_between(
    claim: MakeClaim, record: MakeRecord, rule: str, steps: tuple[int, ...]
) -> None:
    missing = find(claim(rule, from_T=2, to_T=4), *over_T(record, dict.fromkeys(steps, 1)))
    assert isinstance(missing, Missing)
    assert "T = 2, 4 and between" in missing.what


@pytest.mark.parametrize("rule", ["flat_in_T", "affine_in_T"])
@pytest.mark.parametrize("at", [1, 2, 3])
@pytest.mark.parametrize("bad", [math.nan, "many", None], ids=str)
def test_curves_are_undecided_if_a_point_is_not_a_number(
    claim: MakeClaim, record: MakeRecord, rule: str, at: int, bad: Any
) -> None:
    points = over_T(record, {T: 5 * T if rule == "affine_in_T" else 5 for T in (1, 2, 3, 4)} | {at: bad})
    finding = find(claim(rule, from_T=1, to_T=4), *points)
    assert isinstance(finding, Missing) or finding.holds == "cannot tell"
    assert find(claim(rule, from_T=1, to_T=4), *points, record(1, T=9)) == finding


def test_curves_of_different_cases_are_not_mixed(claim: MakeClaim, record: MakeRecord) -> None:
    """Flat at either batch size, growing only if points of both are taken for one curve."""
    small = [record(1, T=T, batch=1, when="1") for T in (2, 3, 4)]
    large = [record(9, T=T, batch=9, when="2") for T in (2, 3, 4)]
    assert found(claim("flat_in_T", from_T=2, to_T=4), *small, *large).holds == "yes"
    assert isinstance(find(claim("flat_in_T", from_T=2, to_T=4), *small[:2], *large[2:]), Missing)


# --------------------------------------------------------------------------- positive


@pytest.mark.parametrize(
    ("values", "holds"),
    [((0.9, 0.8, 0.85), "yes"), ((0.9, 0.01, 0.02), "cannot tell"), ((-0.9, -0.8, -0.85), "no"),
     ((0.5, -0.5, 0.1), "cannot tell"),
     ((0.9,), "cannot tell"), ((0.0, 0.0, 0.0), "cannot tell")],
    ids=str,
)  # fmt: skip
def test_positive_requires_an_interval_over_seeds_above_zero(
    claim: MakeClaim, record: MakeRecord, values: tuple[float, ...], holds: str
) -> None:
    finding = found(claim("positive"), *seeds(record, *values))
    assert (finding.holds, finding.measured, finding.n) == (holds, min(values), len(values))


def test_positive_uses_the_least_value_of_each_seed(claim: MakeClaim, record: MakeRecord) -> None:
    """Of six seeds one goes below zero once: positive in the mean, not every time."""
    early, late = seeds(record, *[0.9] * 6), seeds(record, *[0.8] * 5, -0.01, batch=2)
    assert found(claim("positive"), *early, *late).holds == "partly"
    assert found(claim("positive"), *early, *late[:5]).holds == "yes"
    assert found(claim("positive"), *early, *late[:5], lost=late[5:]).holds == "cannot tell"


# --------------------------------------------------------------------------- evidence


@pytest.mark.parametrize("rule", ["within", "ratio", "at_least", "memory_ratio"])
def test_missing_side_of_a_comparison_is_named(claim: MakeClaim, record: MakeRecord, rule: str) -> None:
    probe = "cost" if rule == "memory_ratio" else "training"
    c = claim(rule, value=1.0, tolerance=1.0, low=0, high=9, select={"probe": probe}, over={"algorithm": "sltt"})
    left, right = find(c, record(1, algorithm="sltt", probe=probe)), find(c, record(1, probe=probe))
    assert isinstance(left, Missing)
    assert isinstance(right, Missing)
    assert "bptt" in left.what
    assert "sltt" in right.what


@pytest.mark.parametrize("rule", ["within", "equal", "positive", "flat_in_T"])
@pytest.mark.parametrize(("scale", "there"), [("smoke", False), ("laptop", True), ("full", False)])
def test_evidence_includes_at_least_one_case_of_the_claims_scale(
    claim: MakeClaim, record: MakeRecord, rule: str, scale: str, there: bool
) -> None:
    c = claim(rule, value=1.0, tolerance=1.0, from_T=1, to_T=3, scale="laptop")
    asked = find(c, *(record(1, T=T, scale=scale) for T in (1, 2, 3)))
    assert isinstance(asked, Finding) == there


def test_selector_can_take_an_entry_of_the_detail(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("within", value=58.9, tolerance=0.01, select={"detail": "1"})
    assert found(c, *seeds(record, 0, 0, detail={"1": 58.9, "2": 0.0})).holds == "yes"
    assert isinstance(find(c, *seeds(record, 58.9, 58.9, detail={"2": 58.9})), Missing)


def test_records_of_another_metric_probe_or_network_are_no_evidence(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("positive", select={"network": "net"})
    assert isinstance(find(c, record(metric="other"), record(probe="clock"), record(network="another")), Missing)


# --------------------------------------------------------------------------- lowered_by, raised_by

WHOLE, CUT = Cell(10), Cell(2)


def runs(record: MakeRecord, accuracies: Mapping[Cell, Sequence[float]], **more: Any) -> list[Record]:
    """One record a cell and seed."""
    found = []
    for cell, values in accuracies.items():
        algorithm, own = setting(cell, 10)
        here = {"algorithm": algorithm, "T": 10, **more, "options": {**own, **more.get("options", {"lr": 0.1})}}
        found += [record(value, seed=seed, **here) for seed, value in enumerate(values)]
    return found


def cut(claim: MakeClaim, rule: str = "raised_by", cut: str = "time") -> Claim:
    c = claim(rule, cut=cut, select={"T": 10, "options": {"lr": 0.1}})
    del c.measure["select"]["algorithm"]  # type: ignore[attr-defined]
    return c


@pytest.mark.parametrize(
    ("changes", "raised", "lowered"),
    [
        ((1.0, 1.1, 0.9), "yes", "no"),
        ((3.0, -1.0, 0.5), "cannot tell", "cannot tell"),
        ((-1.0, -1.1, -0.9), "no", "yes"),
        ((-3.0, 1.0, -0.5), "cannot tell", "cannot tell"),
        ((0.0, 0.0), "cannot tell", "cannot tell"),
        ((2.0, 2.0), "yes", "no"),
    ],
)
def test_raised_by_and_lowered_by_need_an_interval_without_zero(
    claim: MakeClaim, record: MakeRecord, changes: tuple[float, ...], raised: str, lowered: str
) -> None:
    records = runs(record, {WHOLE: [70.0] * len(changes), CUT: [70.0 + change for change in changes]})
    for rule, holds in (("raised_by", raised), ("lowered_by", lowered)):
        finding = found(cut(claim, rule), *records)
        assert (finding.holds, finding.n) == (holds, len(changes))
        assert finding.measured == pytest.approx(sum(changes) / len(changes))


def test_raised_by_uses_students_interval_of_changes_per_seed(claim: MakeClaim, record: MakeRecord) -> None:
    """Changes 1, 2, 6: mean 3, s = sqrt(7), t(2) = 4.303: 3 +- 6.573; the spread between seeds plays no part."""
    finding = found(cut(claim), *runs(record, {CUT: [10.0, 52.0, 96.0], WHOLE: [9.0, 50.0, 90.0]}))
    assert "+3.00, 95 % interval -3.57 to 9.57" in finding.reason
    assert "n = 3 seeds, 1 pairs of cells each, effect size 1.13" in finding.reason


def test_raised_by_averages_all_pairs_of_a_seed_that_differ_in_the_cut_alone(claim: MakeClaim, record: MakeRecord) -> None:
    grid = {Cell(10): [50, 60], Cell(10, 1): [40, 40], Cell(5): [53, 62], Cell(2): [51, 66], Cell(2, 1): [45, 45]}
    finding = found(cut(claim), *runs(record, grid))
    by_seed = [(3 + 1 + 5) / 3, (2 + 6 + 5) / 3]
    assert finding.measured == pytest.approx(sum(by_seed) / 2)
    assert finding.spread == pytest.approx(abs(by_seed[0] - by_seed[1]) / 2**0.5)
    assert "3 pairs" in finding.reason
    assert len(finding.records) == 10
    across = found(cut(claim, "lowered_by", "layers"), *runs(record, grid))
    assert across.measured == pytest.approx(((-10 - 6) / 2 + (-20 - 21) / 2) / 2)  # Cell(5) has no partner
    assert len(across.records) == 8


def test_raised_by_cannot_tell_if_the_grid_lacks_a_run(claim: MakeClaim, record: MakeRecord) -> None:
    grid = runs(record, {Cell(10): [50, 50, 50], Cell(5): [60, 60, 60], Cell(2): [90, 90, 90]})
    assert found(cut(claim), *grid).holds == "yes"
    for i in range(len(grid)):
        finding = find(cut(claim), *grid[:i], *grid[i + 1 :], lost=[grid[i]])
        assert isinstance(finding, Missing) or finding.holds == "cannot tell"


def test_raised_by_keeps_the_test_sets_noise_for_any_number_of_seeds(claim: MakeClaim, record: MakeRecord) -> None:
    """1.96 sqrt(2 * 0.25 / 100) of a gap in points, whose share is not known: 13.9 points."""
    few = {"detail": {"test images": 100}, "unit": "points"}
    grid = {Cell(10): [5.0] * 9, Cell(5): [18.5] * 9, Cell(2): [18.5] * 9}
    finding = found(cut(claim), *runs(record, grid, **few))
    assert finding.holds == "cannot tell"
    assert "of it 13.86 to either side by the test set's size" in finding.reason
    assert found(cut(claim), *runs(record, grid)).holds == "yes"


def test_raised_by_needs_two_seeds_and_a_pair(claim: MakeClaim, record: MakeRecord) -> None:
    assert isinstance(find(cut(claim), *runs(record, {WHOLE: [50], CUT: [60]})), Missing)
    assert isinstance(find(cut(claim), *runs(record, {Cell(10): [50, 50], Cell(2, 1): [60, 60]})), Missing)
    assert isinstance(find(cut(claim)), Missing)


def test_raised_by_does_not_mix_recipes_or_scales(claim: MakeClaim, record: MakeRecord) -> None:
    small = runs(record, {WHOLE: [50, 50], CUT: [60, 60]}, scale="laptop")
    assert isinstance(find(cut(claim), *small), Missing)  # the claim asks for full
    large = runs(record, {WHOLE: [70, 70], CUT: [69, 69]}, batch=4)
    assert found(cut(claim), *small, *large).measured == -1  # the worse of two spaces
    other = runs(record, {WHOLE: [70, 70], CUT: [71, 71]}, options={"lr": 0.5})
    assert isinstance(find(cut(claim), *other), Missing)


def test_raised_by_rejects_an_unknown_cut(claim: MakeClaim, record: MakeRecord) -> None:
    with pytest.raises(UserError, match="unknown cut 'tim'"):
        find(cut(claim, cut="tim"), *runs(record, {WHOLE: [50, 50], CUT: [60, 60]}))


# --------------------------------------------------------------------------- some_setting


def costs(record: MakeRecord, algorithm: str, peak: int, error: int, **case: Any) -> list[Record]:
    macs = {"forward": 10, "error to input": error, "error to weight": 10}
    here = {"probe": "cost", "algorithm": algorithm, "T": 10, **case}
    return [
        record(peak, metric="peak_live_bytes", detail={"saved for backward": peak // 2}, **here),
        record(20 + error, metric="step_macs", detail=macs, **here),
    ]


def test_some_setting_accepts_any_convention_of_each_quantity(claim: MakeClaim, record: MakeRecord) -> None:
    measure = {"algorithm": "ttl-bptt", "reports": {"memory": [-90, 0.5], "MACs": [-99.6, 0.05]}}
    c = claim("some_setting", **measure)
    known = [*costs(record, "bptt", 1000, 1000), *costs(record, "bptt", 4000, 1000, T=20)]
    fits = costs(record, "ttl-bptt", 100, 4, options={"b": 1})
    misses = costs(record, "ttl-bptt", 100, 5, options={"b": 2})
    finding = found(c, *known, *fits, *misses)
    assert (finding.holds, finding.measured, finding.n) == ("partly", 1, 2)  # possible, not identified
    assert {r.case["options"]["b"] for r in finding.records} == {1}
    assert found(c, *known, *misses).holds == "cannot tell"  # of settings not searched that says nothing
    assert "0 of 1 settings" in found(c, *known, *misses).reason
    assert "0.1 points off" in found(c, *known, *misses).reason
    lacking = found(c, *known, *fits, lost=misses)
    assert (lacking.holds, lacking.n) == ("cannot tell", 1)


def test_some_setting_is_undecidable_if_most_reports_would_pass(claim: MakeClaim, record: MakeRecord) -> None:
    """Peaks in steps of 1 %: every report from -100 to -80 % is met within half a point."""
    c = claim("some_setting", algorithm="ttl-bptt", reports={"memory": [-90, 0.5]})
    many = [r for b in range(1, 21) for r in costs(record, "ttl-bptt", 10 * b, 4, options={"b": b})]
    finding = found(c, *costs(record, "bptt", 1000, 1000), *many)
    assert finding.holds == "undecidable"
    assert "98 % would be met" in finding.reason


def test_some_setting_compares_within_one_network_and_T(claim: MakeClaim, record: MakeRecord) -> None:
    c = claim("some_setting", algorithm="ttl-bptt", reports={"memory": [-90, 0.5]})
    other = costs(record, "bptt", 1000, 1000, T=20)
    assert isinstance(find(c, *other, *costs(record, "ttl-bptt", 100, 4)), Missing)
    assert isinstance(find(c), Missing)
