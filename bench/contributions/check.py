"""The problems of a results folder from elsewhere: every reason for which one of its records would not be believed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from bench.case import Case
from bench.claims.evidence import Plan, finite
from bench.contributions.metrics import TEXTS, problem_of
from bench.errors import UserError
from bench.record import Record
from bench.record_store import Store, latest, uncommitted
from bench.speed.rows import TIMING

CLOCK = timedelta(days=1)  # by which clocks may differ
BROKEN = ("crashed", "failed")  # neither a result nor a limit of the machine


def store_of(folder: Path) -> Store:
    """Return the store of a results folder. Raises UserError if it is none."""
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; name the results folder that was handed in, which holds runs/ and machines/")
    if not (folder / "runs").is_dir():
        raise UserError(f"{folder} holds no runs/, so it is not a results folder; name the one that holds runs/ and machines/")
    return Store(folder)


def counting(store: Store, paper: str) -> list[Record]:
    """Return the records of a paper that would count: of several of a case, the last."""
    return latest(store.load(paper)[0])


def problems(
    store: Store, planned: Mapping[str, Sequence[Case]], digest_for: Callable[[Record], str], now: datetime
) -> Iterator[str]:
    """Yield the problems of a folder, one line each, which ends in the remedy.

    ``planned``: the cases of each paper at full scale; ``digest_for``: the digest of the code that is here; ``now``: in UTC.
    """
    damaged = store.damaged_machines()
    yield from map(str, damaged)
    yield from map(str, store.strays(planned))
    found = 0
    for paper, cases in planned.items():
        plan = Plan(cases)
        yield from (str(line) for line in store.load(paper)[1] if line not in damaged)
        by_case: dict[tuple[str, str, str, int], list[Record]] = {}
        for record in counting(store, paper):
            by_case.setdefault((record.machine, record.key, record.device, record.threads), []).append(record)
        for (machine, key, *_), records in by_case.items():
            where = f"{store.path(paper, machine)}: {key}"
            yield from (f"{where}: {problem}" for problem in _of_case(records, plan, digest_for, now))
        found += len(by_case)
    if not found:
        yield f"{store.root}: there is no complete case of {', '.join(planned)} in runs/; name a results folder that has some"


def _of_case(records: Sequence[Record], plan: Plan, digest_for: Callable[[Record], str], now: datetime) -> Iterator[str]:
    """Of one case in one place; ``records`` are its metrics."""
    first = records[0]
    case = Case.of(first.case)
    if not plan.has(first):
        yield "nothing here plans this case on such a device, so it decides nothing; delete its lines"
        return
    digests = sorted({record.digest for record in records} - {digest_for(first)})
    if digests:
        other = f"other code than is here measured it (digest {digests[0]}, commit {first.commit}; here {digest_for(first)})"
        yield f"{other}; measure it with the code of this commit"
    if any(map(uncommitted, records)):
        yield f"an uncommitted tree measured it (commit {first.commit}); commit the code, delete these lines and measure again"
    if any(datetime.fromisoformat(record.when) > now + CLOCK for record in records):
        yield f"it was measured at {first.when}, which is to come; set the clock of that machine, delete the lines, measure again"
    if first.status in BROKEN:
        yield f"it {first.status} ({first.reason}); measure it again with --retry, or delete its lines"
    elif first.status == "ok":
        yield from (problem for record in records if (problem := _of_value(case, record)))


def _of_value(case: Case, record: Record) -> str:
    if strange := problem_of(case, record.metric, record.unit):
        return f"{strange}; delete the line and measure the case again"
    if case.probe in TEXTS:
        known = record.value in TEXTS[case.probe]
    else:
        known = finite(record.value) or (record.value is None and case.probe in TIMING and "refused" in record.detail)
    if known:
        return ""
    return f"{record.metric} = {record.value!r} is not a finite number; delete its lines and measure the case again"
