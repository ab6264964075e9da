"""Takes records of other stores of the same suite over, a case at a time and each once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from bench.record import Record
from bench.record_store.counting import DoneKey, Place, done_key, place_of
from bench.record_store.disk import append_to, writing
from bench.record_store.lines import Line, encoded, read
from bench.record_store.store import Store

WAIT_S = 600.0  # for another run or merge that writes the same file


def adopt(store: Store, paper: str, machine: str, batches: Iterable[Iterable[Record]]) -> int:
    """Append the cases of a machine in ``batches`` that the store lacks; return their number. The machine must be described.

    ``batches``: complete cases of that paper and machine, as ``Store.load`` gives them; each batch is appended in one write,
    and may be forgotten then. Left out is a case that the store has of the same run, and one of which it has a later record: the
    older, appended, would be taken for the newest.
    """
    path, added = store.path(paper, machine), 0
    with store.locked(paper, machine, wait_s=WAIT_S), writing(path):
        known: set[tuple[DoneKey, str]] = set()
        latest: dict[tuple[Place, str], str] = {}
        there = read(path) if path.exists() else ()
        for record in (line.record for line in there if isinstance(line, Line)):
            known.add((done_key(record), record.run))
            latest[place_of(record), record.key] = max(record.when, latest.get((place_of(record), record.key), ""))
        for records in batches:
            new = [case for case in _cases(records) if _name(case) not in known and not _older(case, latest)]
            if new:
                append_to(path, b"".join(encoded(record, len(case)) for case in new for record in case))
            known |= set(map(_name, new))
            added += len(new)
    return added


def _cases(records: Iterable[Record]) -> Iterator[list[Record]]:
    """The records of each case and run, each metric once: the last, if a case was written again after a crash."""
    found: dict[tuple[DoneKey, str], dict[str, Record]] = {}
    for record in records:
        found.setdefault((done_key(record), record.run), {})[record.metric] = record
    return (list(by_metric.values()) for by_metric in found.values())


def _name(case: list[Record]) -> tuple[DoneKey, str]:
    return (done_key(case[-1]), case[-1].run)


def _older(case: list[Record], latest: Mapping[tuple[Place, str], str]) -> bool:
    return max(record.when for record in case) < latest.get((place_of(case[-1]), case[-1].key), "")
