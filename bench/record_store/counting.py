"""Which records still count, where they were measured, and what makes a case done."""

from __future__ import annotations

from collections.abc import Iterable

from bench.record import Record

Place = tuple[str, str, int, str]  # machine, device, threads, precision
DoneKey = tuple[str, str, str, int, str]
"""What makes a case done: its key, the code's digest, and the device, threads and precision that computed it."""


def done_key(record: Record) -> DoneKey:
    """The part of a record that decides which case is done."""
    return (record.key, record.digest, record.device, record.threads, record.precision)


def uncommitted(record: Record) -> bool:
    """Whether the code that made it differed from its commit, so that the code cannot be found there."""
    return record.commit.endswith("+")


def latest(records: Iterable[Record]) -> list[Record]:
    """Return the records that count: the last of each place, key and metric, without failures that were followed by a success.

    A place is a machine, a device, a number of threads and a precision. Records come oldest first within a machine, as
    ``Store.load`` gives them; the order is kept.
    """
    last: dict[tuple[object, ...], Record] = {}
    succeeded: dict[tuple[object, ...], str] = {}
    for record in records:
        case = (*place_of(record), record.key)
        identity = (*case, record.metric)
        last.pop(identity, None)
        last[identity] = record
        if record.status == "ok":
            succeeded[case] = max(record.when, succeeded.get(case, ""))
    return [r for r in last.values() if r.status == "ok" or succeeded.get((*place_of(r), r.key), "") <= r.when]


def place_of(record: Record) -> Place:
    """Where it was measured; numbers of different places are never combined."""
    return (record.machine, record.device, record.threads, record.precision)
