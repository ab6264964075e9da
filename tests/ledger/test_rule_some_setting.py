"""Rule some_setting: a search over settings."""

from __future__ import annotations

from typing import Any

from bench.claims.rules import Missing
from bench.record import Record
from tests.ledger.finding import MakeClaim, MakeRecord, find, found


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
