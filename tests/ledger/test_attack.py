"""What somebody who wants a verdict could try: no forgery ends in "reproduced" or "exceeded", and none in a traceback.

For every claim of every paper that planned cases decide there is evidence that could not be better (honest.py). Each attack
spoils it; the verdict must then say nothing for the claim, or say less where only a limit is asked.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.case import Case
from bench.claims import Claim, Verdict, judge
from bench.claims.estimate import EXACT
from bench.claims.judge import ORDER
from bench.claims.rules.memory import OF_CUDA
from bench.record import Record
from bench.record_store import Store, latest
from bench.speed.rows import TIMING
from tests.ledger.honest import CLAIMS, PLANNED, backend_behind, cases_of, gates_of, honest, sides

Attack = Callable[[Claim, list[Record]], list[Record]]


def said(claim: Claim, records: Sequence[Record]) -> Verdict:
    """The verdict; of the plan, the cases that bear on the claim and their gates."""
    own = [case for part, _, selector in sides(claim) for case in cases_of(claim, selector, part)]
    cuda = [case for case in PLANNED[claim.paper] if case.probe in OF_CUDA.values()]
    plan = list(dict.fromkeys([*own, *cuda, *gates_of(claim)]))
    (verdict,) = judge([claim], records, lambda r: r.digest == "new", lambda _: plan)
    return verdict


def worth(verdict: Verdict) -> int:
    return ORDER.get(verdict.verdict, 0)


def each_claim(claims: Sequence[Claim] = CLAIMS) -> Any:
    return pytest.mark.parametrize("claim", claims, ids=lambda claim: f"{claim.paper}-{claim.id}")


def numbers(records: Sequence[Record]) -> list[Record]:
    return [record for record in records if record.case["probe"] != "equivalence"]


def first_of_each_side(claim: Claim, records: Sequence[Record]) -> set[str]:
    """The key of one case of every selector, so that no part is left whole."""
    return {cases_of(claim, selector, part)[0].key for part, _, selector in sides(claim)}


def as_another_case(record: Record, **changes: Any) -> Record:
    """With a key that fits: a forger can compute it."""
    options = changes.pop("options", {})
    content = {**record.case, **changes, "options": {**record.case["options"], **options}}
    case = Case(**{**content, "options": tuple(sorted(content["options"].items()))})
    return replace(record, case=case.as_dict(), key=case.key)


def other_case(**changes: Any) -> Attack:
    return lambda _, records: [as_another_case(r, **changes) for r in numbers(records)]


def other_option(name: str, value: Any) -> Attack:
    def attack(_: Claim, records: list[Record]) -> list[Record]:
        return [as_another_case(r, options={name: value}) for r in numbers(records)]

    return attack


def under_the_key_of_the_planned(_: Claim, records: list[Record]) -> list[Record]:
    return [replace(r, case={**r.case, "options": {**r.case["options"], "lr": 0.5}}) for r in numbers(records)]


def key_of_another_case(_: Claim, records: list[Record]) -> list[Record]:
    return [replace(r, key=r.key + "/forged") for r in numbers(records)]


def lost(claim: Claim, records: list[Record]) -> list[Record]:
    keys = first_of_each_side(claim, records)
    return [r for r in records if r.key not in keys]


def spoilt(**changes: Any) -> Attack:
    """One record of every side is changed so."""

    def attack(claim: Claim, records: list[Record]) -> list[Record]:
        keys = first_of_each_side(claim, records)
        return [_with(r, changes) if r.key in keys else r for r in records]

    return attack


def _with(record: Record, changes: dict[str, Any]) -> Record:
    if "value" not in changes:
        return replace(record, **changes)
    value = changes["value"]
    detail = {name: (value if isinstance(entry, int | float) else entry) for name, entry in record.detail.items()}
    return replace(record, value=value, detail={**detail, "test images": 10**12})


def on_cpu(_: Claim, records: list[Record]) -> list[Record]:
    """The first half on another device."""
    half = len(numbers(records)) // 2 or 1
    return [replace(r, device="NVIDIA B") if i < half else r for i, r in enumerate(records)]


ATTACKS: dict[str, Attack] = {
    "another batch": other_case(batch=999),
    "another T": other_case(T=9999),
    "another network": other_case(network="made-up"),
    "another data set": other_case(dataset="digits"),
    "another seed": other_case(seed=99),
    "another paper": other_case(paper="made-up"),
    "another learning rate": other_option("lr", 0.5),
    "another optimizer": other_option("optimizer", "adamw"),
    "another alpha": other_option("alpha", 0.77),
    "another decay": other_option("weight_decay", 0.1),
    "few train images": other_option("train_images", 100),
    "few test images": other_option("test_images", 10),
    "more epochs": other_option("epochs", 9999),
    "an unknown option": other_option("luck", 1),
    "options under the planned key": under_the_key_of_the_planned,
    "a forged key": key_of_another_case,
    "a lost run": lost,
    "a failed run": spoilt(status="failed", value=None, metric="none"),
    "nan": spoilt(value=math.nan),
    "nan as stored": spoilt(value="nan"),
    "infinite": spoilt(value=math.inf),
    "minus infinity": spoilt(value="-inf"),
    "no value": spoilt(value=None),
    "a word": spoilt(value="many"),
    "true": spoilt(value=True),
    "another machine": spoilt(machine="there"),
    "another device": spoilt(device="NVIDIA B"),
    "another precision": spoilt(precision="bfloat16"),
    "stale": spoilt(digest="old"),
    "detail that is none": spoilt(detail=[1, 2]),
}


@each_claim()
def test_undamaged_records_reproduce_every_claim(claim: Claim) -> None:
    """Else the attacks below would prove nothing."""
    verdict = said(claim, honest(claim))
    limited = claim.assumed or any("train_images" in selector.get("options", {}) for _, _, selector in sides(claim))
    assert verdict.verdict in (("partly",) if limited else ("reproduced",)), verdict.reason


@pytest.mark.sampled(every=4)
@each_claim()
def test_damaged_records_reproduce_no_claim(claim: Claim) -> None:
    records = honest(claim)
    in_one_place = (*EXACT, "clock", *TIMING)
    exact = all(selector["probe"] in in_one_place for _, _, selector in sides(claim))
    single = exact and all(len(cases_of(claim, selector, part)) == 1 for part, _, selector in sides(claim))
    for name, attack in ATTACKS.items():
        if single and name in ("another machine", "another device", "another precision"):
            continue  # all of the evidence moves: it is whole elsewhere
        verdict = said(claim, attack(claim, records))
        assert worth(verdict) == 0, f"{name}: {verdict.verdict}, {verdict.reason}"


@each_claim()
def test_verdicts_on_a_part_of_the_data_are_partly_at_best(claim: Claim) -> None:
    records = [replace(r, detail={**r.detail, "part": "a part of it"}) for r in honest(claim)]
    assert worth(said(claim, records)) <= ORDER["partly"]


@each_claim()
def test_duplicate_lines_count_once(claim: Claim) -> None:
    records = honest(claim)
    once, twice = said(claim, records), said(claim, [*records, *records])
    assert (once.verdict, once.n, once.reason) == (twice.verdict, twice.n, twice.reason)


@each_claim([claim for claim in CLAIMS if any(backend_behind(s) != "native" for _, _, s in sides(claim))])
@pytest.mark.parametrize("gate", [{"value": "fail"}, {"digest": "old"}, {"status": "crashed", "value": None}, None], ids=str)
def test_records_of_a_backend_without_a_current_gate_do_not_count(claim: Claim, gate: dict[str, Any] | None) -> None:
    records = honest(claim)
    shut = [] if gate is None else [replace(r, **gate) for r in records if r.case["probe"] == "equivalence"]
    verdict = said(claim, [*numbers(records), *shut])
    assert worth(verdict) <= ORDER["partly"]
    assert verdict.verdict == "not attempted" or "not measured" in verdict.reason


@pytest.mark.sampled(every=3)
@each_claim()
def test_verdict_of_a_subset_is_never_better_than_of_all_records(claim: Claim) -> None:
    """Good and bad values mixed; some are deleted, some have failed."""
    draw = random.Random(f"{claim.paper}/{claim.id}")
    for _ in range(3):
        records = [
            _with(r, {"value": r.value * draw.choice([1, 1, 0.5, 2, -1])}) if isinstance(r.value, int | float) else r
            for r in honest(claim)
        ]
        before = said(claim, records)
        share = draw.choice([0.02, 0.2, 0.7])
        left = [r for r in records if r.case["probe"] == "equivalence" or draw.random() > share]
        failed = [r if r in left else replace(r, status="crashed", metric="none", value=None) for r in records]
        for after in (said(claim, left), said(claim, failed)):
            assert worth(after) <= worth(before), (before.reason, after.reason)


# --------------------------------------------------------------------------- the files

WHAT = {"cpu": "x", "cores": 2, "memory_gib": 8, "os": "Linux", "architecture": "x86_64", "gpus": ["NVIDIA"]}

SPOIL: dict[str, Callable[[bytes], bytes]] = {
    "conflict markers": lambda b: b"<<<<<<< ours\n" + b[: len(b) // 2] + b"\n=======\n" + b[len(b) // 2 :] + b">>>>>>> theirs\n",
    "cut": lambda b: b[: len(b) // 2],
    "cut in a line": lambda b: b[: b.rfind(b"\n", 0, len(b) - 1) + 20],
    "not JSON": lambda b: b"not JSON\n" * 3,
    "not text": lambda b: b"\xff\xfe\x00" + b[40:],
    "empty": lambda _: b"",
    "null lines": lambda b: b.replace(b"}\n", b"}\nnull\n[]\n3\n", 1),
    "another machine in the folder": lambda b: b.replace(b'"machine":"m"', b'"machine":"n"'),
    "an unknown commit": lambda b: b.replace(b'"commit":"' + b"0" * 40, b'"commit":"unknown'),
    "a forged key": lambda b: b.replace(b"/native/", b"/natiwe/"),
}
OF_FILES = [next(c for c in CLAIMS if c.id == name) for name in ("parameters-vgg-cifar10", "cifar10-ottt-a", "longer-sequences")]


@each_claim(OF_FILES)
@pytest.mark.parametrize("damage", SPOIL)
def test_damaged_store_is_read_without_a_traceback_and_improves_no_verdict(tmp_path: Path, claim: Claim, damage: str) -> None:
    store = Store(tmp_path)
    store.describe("m", WHAT)
    whole = honest(claim)
    for record in whole:
        store.append(claim.paper, "m", [record])
    before = said(claim, latest(store.load(claim.paper)[0]))
    assert worth(before) >= ORDER["partly"]
    path = store.path(claim.paper, "m")
    path.write_bytes(SPOIL[damage](path.read_bytes()))
    records, torn = store.load(claim.paper)
    after = said(claim, latest(records))
    assert worth(after) <= worth(before)
    assert torn or damage in ("empty", "cut"), "what is left out is told"
    if damage in ("not JSON", "empty", "another machine in the folder", "an unknown commit", "a forged key"):
        assert worth(after) == 0
