"""Verdicts of claims with several parts, limited evidence or none."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from bench.claims import VERDICTS
from bench.claims.judge import ORDER, combined
from bench.claims.rules import Finding, Holds
from tests.ledger.judging import MakeClaim, MakeRecord, accuracy, parts, runs, verdict


def test_claim_is_reproduced_if_all_parts_hold_and_partly_if_some_do(claim: MakeClaim, record: MakeRecord) -> None:
    both = parts(claim, "bptt", "sltt")
    good, bad = runs(record, 2), runs(record, -2)
    also_good, also_bad = runs(record, 3, algorithm="sltt"), runs(record, -3, algorithm="sltt")
    assert verdict(both, *good, *also_good).verdict == "reproduced"
    assert verdict(both, *good, *also_bad).verdict == "partly"
    assert verdict(both, *bad, *also_bad).verdict == "not reproduced"
    assert verdict(both).verdict == "not attempted"
    assert verdict(both, *good, *also_good).measured == "1.9; 2.9"
    assert "holds: least of 3 values 1.9" in verdict(both, *good, *also_bad).reason
    assert "fails: least of 3 values -3.1" in verdict(both, *good, *also_bad).reason


def test_claim_with_a_part_without_evidence_is_not_reproduced(claim: MakeClaim, record: MakeRecord) -> None:
    v = verdict(parts(claim, "bptt", "sltt"), *runs(record, 2))
    assert v.verdict == "partly"
    assert "not measured: m, sltt" in v.reason


def test_short_reason_counts_the_results_of_many_parts(claim: MakeClaim, record: MakeRecord) -> None:
    many = replace(parts(claim, "bptt", "sltt", "local", "replay", "skipper"), assumed="data set")
    good, bad = (runs(record, mean, algorithm=name) for mean, name in ((3, "sltt"), (-3, "local")))
    v = verdict(many, *runs(record, 2), *good, *bad)
    assert v.in_short == "on assumed data set: of 5 parts: holds 2, fails 1, not measured 2"
    assert v.reason.count("holds: least of 3 values") == 2
    assert [part.reason.split(":")[0] for part in v.parts] == ["holds", "holds", "fails"]
    few = verdict(parts(claim, "bptt", "sltt"), *good)
    assert few.in_short == few.reason


HOLDS: tuple[Holds, ...] = ("no", "undecidable", "cannot tell", "partly", "yes", "exceeded")


def on(holds: Holds) -> Finding:
    return Finding(holds, 1, "so", ())


@pytest.mark.parametrize(
    ("holds", "missing", "said"),
    [
        (("yes", "yes"), 0, "reproduced"),
        (("yes", "exceeded"), 0, "exceeded"),
        (("yes",), 1, "partly"),
        (("exceeded", "cannot tell"), 0, "partly"),
        (("partly", "no"), 0, "partly"),
        (("yes", "no"), 0, "partly"),
        (("no", "cannot tell"), 0, "not reproduced"),
        (("no",), 1, "not reproduced"),
        (("cannot tell",), 1, "cannot tell"),
        (("undecidable",), 0, "undecidable"),
    ],
    ids=str,
)
def test_outcome_of_two_parts(holds: tuple[Holds, ...], missing: int, said: str) -> None:
    assert combined([on(h) for h in holds], missing) == said


@pytest.mark.parametrize("others", list(product(HOLDS, repeat=2)), ids=str)
def test_outcome_does_not_improve_if_a_part_is_lost_or_fails(others: tuple[Holds, ...]) -> None:
    for holds in HOLDS:
        whole = ORDER.get(combined([on(h) for h in (*others, holds)], 0), 0)
        assert ORDER.get(combined([on(h) for h in others], 1), 0) <= whole
        for worse in ("no", "undecidable", "cannot tell"):
            assert ORDER.get(combined([*(on(h) for h in others), on(worse)], 0), 0) <= whole


def test_order_of_outcomes_includes_every_verdict() -> None:
    assert set(ORDER) < set(VERDICTS)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"detail": {"test images": 10**9, "part": "simulated from CIFAR-10, not recorded"}}, "on simulated data"),
        ({"detail": {"test images": 10**9, "part": "part of N-MNIST"}}, "on a part of the data (part of N-MNIST)"),
        ({"options": {"train_images": 100}}, "on a part of the data (100 training samples)"),
        ({"options": {"test_images": 9}}, "on a part of the data (9 test samples)"),
    ],
    ids=["simulated", "part", "train_images", "test_images"],
)
@pytest.mark.parametrize("direction", [None, "more"])
def test_claim_on_a_part_of_the_data_is_partly_at_best(
    claim: MakeClaim, record: MakeRecord, changes: dict[str, Any], told: str, direction: str | None
) -> None:
    select = {"options": changes.get("options", {})}
    c = accuracy(claim, select=select, value=80.0 if direction else 90.0, **({"direction": direction} if direction else {}))
    v = verdict(c, *runs(record, 90.0, **changes))
    assert v.verdict == "partly"
    assert v.reason.startswith(("exceeded, but " if direction else "") + told)
    missed = verdict(accuracy(claim, select=select, value=10.0), *runs(record, 90.0, **changes))
    assert missed.verdict == "not reproduced"


def test_claim_with_an_assumption_is_partly_at_best(claim: MakeClaim, record: MakeRecord) -> None:
    v = verdict(accuracy(claim, assumed="networks"), *runs(record, 90.0))
    assert v.verdict == "partly"
    assert v.reason.startswith("on assumed networks: ")


def test_not_attempted_has_a_reason(claim: MakeClaim, record: MakeRecord) -> None:
    plain = claim("positive", scale="laptop", needs="a GPU")
    assert verdict(plain).reason == "needs a GPU"
    assert verdict(replace(plain, needs="")).reason == "no record at scale laptop"
    weak = verdict(plain, *runs(record, 1, scale="smoke"))
    assert (weak.verdict, weak.measured) == ("not attempted", None)
    assert weak.reason == "what was measured at scale smoke cannot decide it; needs a GPU"


def test_not_attempted_mentions_failures_of_its_own_cases_alone(claim: MakeClaim, record: MakeRecord) -> None:
    refused = record(None, metric="none", status="refused", reason="forecast 300.0 GiB")
    other = record(None, metric="none", status="crashed", reason="signal 11", algorithm="sltt")
    twice = replace(refused, machine="there")
    v = verdict(claim("positive", needs="a GPU"), refused, other, twice)
    assert v.reason == "refused: forecast 300.0 GiB; needs a GPU"


def test_failure_followed_by_success_is_not_mentioned(claim: MakeClaim, record: MakeRecord) -> None:
    crashed = record(None, metric="none", status="crashed", reason="signal 11", when="1")
    other_metric = record(1, metric="other", when="2")
    assert "signal 11" in verdict(claim("positive"), crashed).reason
    assert "signal 11" not in verdict(claim("positive"), crashed, other_metric).reason


def test_undecidable_claim_stays_undecidable_with_any_record(claim: MakeClaim, record: MakeRecord) -> None:
    assert verdict(claim("positive", undecidable="no unit is given"), record(1)).verdict == "undecidable"


@pytest.mark.parametrize(
    ("network", "device", "said"),
    [
        ("vgg-bn-small-0.9/digits", "2 x gpu", "partly"),
        ("vgg-bn-small-0.9/digits", "gpu", "reproduced"),
        ("vgg5-small/digits", "2 x gpu", "reproduced"),
    ],
)
def test_batch_norm_apart_in_several_processes_is_partly_at_best(
    claim: MakeClaim, record: MakeRecord, network: str, device: str, said: str
) -> None:
    v = verdict(accuracy(claim), *runs(record, 90.0, network=network, device=device))
    assert v.verdict == said
    assert v.reason.startswith("with batch norm over each process's own samples") == (said == "partly")
