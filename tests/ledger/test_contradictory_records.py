"""Records that contradict themselves, their case or their machine are reported and left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.case import Case
from bench.claims import judge
from bench.claims.evidence import Plan, finite
from bench.claims.gates import gates_of
from bench.claims.rules import printed_number
from bench.record import Record
from bench.record_store import Store
from tests.ledger.conftest import MakeClaim, MakeRecord, case_of, planned
from tests.ledger.machine import GPU, WHAT

TRAINED = Case(
    "p", "training", "net", "bptt", "native", 2, 3, "digits", options=(("epochs", 3), ("lr", 0.1), ("test_images", 50))
)


def stored(tmp_path: Path, spoil: Callable[[bytes], bytes], **changes: Any) -> tuple[list[Record], list[str]]:
    """One record of a training, damaged in the store: what is accepted, and what is reported."""
    plain: dict[str, Any] = {
        "case": TRAINED.as_dict(), "key": TRAINED.key, "metric": "test_accuracy", "value": 90.5, "unit": "%", "version": 1,
        "detail": {"test images": 50, "recipe": {"lr": 0.1, "epochs": 3}}, "status": "ok", "reason": "", "kernel": "",
        "digest": "d", "versions": {}, "commit": "0" * 12, "machine": "m", "device": GPU, "threads": 1, "precision": "float32",
        "run": "r", "when": "2026-01-01T00:00:00.000+00:00",
    }  # fmt: skip
    gpus = changes.pop("gpus", [GPU])
    store = Store(tmp_path)
    store.describe("m", {**WHAT, "gpus": gpus})
    store.append("p", "m", [Record(**{**plain, **changes})])
    path = store.path("p", "m")
    path.write_bytes(spoil(path.read_bytes()))
    records, torn = store.load("p")
    return records, [t.reason for t in torn]


def as_it_is(line: bytes) -> bytes:
    return line


def test_unchanged_record_is_accepted(tmp_path: Path) -> None:
    records, told = stored(tmp_path, as_it_is)
    assert (len(records), told) == (1, [])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        pytest.param({"detail": {"recipe": {"lr": 0.5}}}, "lr = 0.5", id="recipe with another learning rate"),
        pytest.param({"detail": {"recipe": {"epochs": 1}}}, "epochs = 1", id="recipe with fewer epochs"),
        pytest.param({"detail": {"test images": 10_000}}, "test_images = 10000", id="more test images than asked"),
        pytest.param({"value": 150.0}, "150.0 % is impossible", id="an accuracy above 100 %"),
        pytest.param({"metric": "peak", "value": -1, "unit": "B"}, "-1 B is impossible", id="negative bytes"),
        pytest.param({"gpus": []}, "has no such GPU", id="a GPU on a machine without one"),
        pytest.param({"gpus": ["NVIDIA Y"]}, "has no such GPU", id="another machine's GPU"),
        pytest.param({"unit": ""}, "its unit", id="a unit that takes the noise away"),
        pytest.param({"when": "20260101T000000"}, "when is", id="a time that sorts otherwise"),
        pytest.param({"when": "2026-01-01T00:00:00"}, "when is", id="a time without its zone"),
    ],
)
def test_record_that_contradicts_itself_is_left_out_with_a_warning(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    records, (told,) = stored(tmp_path, as_it_is, **changes)
    assert records == []
    assert why in told


@pytest.mark.parametrize(
    "number",
    [b"1e400", b"1e308", b"-1e308", b"1" + b"0" * 400, b"9" * 5000, b"[" * 100_000],
    ids=["infinite", "large", "large negative", "no float holds it", "no integer holds it", "nested without end"],
)
@pytest.mark.parametrize("place", [b'"value":90.5', b'"lr":0.1'], ids=["value", "detail"])
def test_record_with_an_impossible_number_is_left_out_with_a_warning(tmp_path: Path, number: bytes, place: bytes) -> None:
    name = place.split(b":")[0]
    records, (told,) = stored(tmp_path, lambda line: line.replace(place, name + b":" + number))
    assert records == []
    assert "not a record" in told


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), float("nan"), float("inf"), True, "1", None, [1]], ids=lambda v: str(v)[:6]
)
def test_finite_rejects_anything_but_finite_numbers(value: object) -> None:
    assert not finite(value)


@pytest.mark.parametrize(
    "how",
    [{"device": "meta"}, {"device": "none"}, {"device": ""}, {"precision": "float16"}, {"precision": ""}, {"threads": 64}],
    ids=str,
)
def test_record_computed_differently_from_its_case_is_no_evidence(record: MakeRecord, how: dict[str, Any]) -> None:
    good = record(1.0)
    plan = Plan(planned(good))
    assert plan.has(good)
    assert not plan.has(replace(good, **how))


def test_failed_gate_is_not_replaced_by_another_case_of_the_same_key(claim: MakeClaim, record: MakeRecord) -> None:
    def gate(value: str, **changes: Any) -> Record:
        of_case = {"network": "net/one", "dataset": "none", "backend": "snntorch", "probe": "equivalence", **changes}
        return record(value, metric="gate", **of_case)

    numbers = [record(90.0 + s / 100, seed=s, network="net/one", backend="snntorch") for s in range(3)]
    failed, passed = gate("fail"), gate("pass", algorithm="sltt")
    hiding = gate("pass", network="net", algorithm="one/bptt")
    assert hiding.key == failed.key
    asked = claim("within", value=90.0, tolerance=1, select={"backend": "snntorch"})
    plan = planned(*numbers, failed, passed)

    def said(*gates: Record) -> str:
        return judge([asked], [*numbers, *gates], lambda _: True, lambda _: plan)[0].verdict

    assert said(gate("pass"), passed) == "reproduced"
    assert said(failed, passed) == said(failed, hiding, passed) == "not attempted"


def test_gate_that_is_not_planned_does_not_count(claim: MakeClaim, record: MakeRecord) -> None:
    numbers = [record(90.0 + s / 100, seed=s, backend="snntorch") for s in range(3)]
    easy = record("pass", metric="gate", probe="equivalence", backend="snntorch", T=1)
    asked = claim("within", value=90.0, tolerance=1, select={"backend": "snntorch"})
    assert judge([asked], [*numbers, easy], lambda _: True, lambda _: planned(*numbers))[0].verdict == "not attempted"
    assert gates_of([], lambda _: True, [case_of(easy)]) == {("net", "snntorch"): False}


@pytest.mark.parametrize("raw", [5, None, "abc", {}, [], [1.5], [1.5] * 5, [[1]] * 7, [0.0] * 7], ids=str)
def test_ratio_of_times_cannot_be_judged_from_invalid_or_too_few_turns(claim: MakeClaim, record: MakeRecord, raw: Any) -> None:
    def timed(value: float, **changes: Any) -> Record:
        detail = {"raw": [value] * 7, "raw native bptt": [1.0] * 7}
        return record(value, probe="clock", device=GPU, **{"detail": detail, **changes})

    asked = claim("ratio", low=1, high=2, select={"probe": "clock"}, over={"algorithm": "sltt"})
    over = timed(1.0, algorithm="sltt")

    def said(mine: Record) -> str:
        return judge([asked], [mine, over], lambda _: True, lambda _: planned(mine, over))[0].verdict

    assert said(timed(1.5)) == "reproduced"
    assert said(timed(1.5, detail={"raw": raw, "raw native bptt": [1.0] * 7})) == "cannot tell"
    assert said(timed(1.5, detail={"raw": [1.5] * 7, "raw native bptt": raw})) == "cannot tell"
    assert said(replace(timed(1.5), value=99.0)) == "cannot tell"  # not the median of its own turns


def test_memory_ratio_with_one_of_cudas_two_peaks_does_not_use_live_bytes(claim: MakeClaim, record: MakeRecord) -> None:
    def peaks(value: int, **changes: Any) -> list[Record]:
        cuda = [
            record(value, metric=f"peak_{what}_bytes", probe="cuda-memory", device=GPU, unit="B", **changes)
            for what in ("allocated", "reserved")
        ]
        return [record(10**15 * value, metric="peak_live_bytes", probe="cost", device=GPU, unit="B", **changes), *cuda]

    selector = {"probe": "cost", "metric": "peak_live_bytes"}
    asked = claim("memory_ratio", low=2, high=4, select=selector, over={"algorithm": "sltt"})
    known = [*peaks(3), *peaks(1, algorithm="sltt")]
    plan = planned(*known)

    def said(records: list[Record]) -> str:
        return judge([asked], records, lambda _: True, lambda _: plan)[0].verdict

    assert said(known) == "reproduced"
    lost = [replace(r, value="nan") if r.metric == "peak_reserved_bytes" else r for r in known]
    assert said(lost) == "cannot tell"


def test_setting_search_that_lacks_a_convention_is_incomplete(claim: MakeClaim, record: MakeRecord) -> None:
    def counted(value: int, detail: dict[str, Any], **more: Any) -> Record:
        return record(value, probe="cost", metric="peak_live_bytes", T=10, detail=detail, **more)

    def said(kept: Any) -> str:
        bptt = counted(10**6, {"saved for backward": 10**6})
        mine = counted(10**5, {"saved for backward": kept}, algorithm="ttl-bptt", options={"b": 1})
        asked = claim("some_setting", algorithm="ttl-bptt", reports={"memory": [-90, 0.01]})
        return judge([asked], [bptt, mine], lambda _: True, lambda _: planned(bptt, mine))[0].verdict

    assert said(10**5) == "partly"
    assert said("nan") == said(None) == "cannot tell"


@pytest.mark.parametrize("value", [10**40, 1e30, 9_149_999, 9_250_001])
def test_counts_of_any_size_are_rounded_exactly(claim: MakeClaim, record: MakeRecord, value: float) -> None:
    known = record(value, probe="count")
    asked = claim("equal", printed="9.2M", value=9.2e6, select={"probe": "count"})
    assert judge([asked], [known], lambda _: True, lambda _: planned(known))[0].verdict == "not reproduced"


def test_printed_number_is_read_whole_or_rejected() -> None:
    assert printed_number("92.78±0.34")[0:2] == printed_number("92.78, 93")[0:2]
    with pytest.raises(ValueError, match="does not begin with a number"):
        printed_number("6.7x")  # not 6
