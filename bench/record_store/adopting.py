"""Takes records of another store of the same suite over, a case at a time and each once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.record import Record
from bench.record_store.counting import DoneKey, Place, done_key, place_of
from bench.record_store.disk import append_to, writing
from bench.record_store.lines import Line, encoded, read
from bench.record_store.store import Store

WAIT_S = 600.0  # for another run or merge that writes the same file

_Group = Mapping[str, Record]  # by metric: of a case that was measured twice under one run, the later line


def adopt(store: Store, paper: str, records: Iterable[Record]) -> int:
    """Append the complete cases in ``records`` (as ``Store.load`` gives them) that the store lacks; return their number.

    Left out is a case that the store has of the same run, and one of which it has a later record: appended, the older would be
    taken for the newest. All cases of a machine are appended in one write, with one lock; the machines must be described.
    """
    by_machine: dict[str, list[Record]] = {}
    for record in records:
        by_machine.setdefault(record.machine, []).append(record)
    return sum(_adopt(store, paper, machine, mine) for machine, mine in sorted(by_machine.items()))


def _adopt(store: Store, paper: str, machine: str, records: Iterable[Record]) -> int:
    groups: dict[tuple[DoneKey, str], dict[str, Record]] = {}
    for record in records:
        groups.setdefault((done_key(record), record.run), {})[record.metric] = record
    path = store.path(paper, machine)
    with store.locked(paper, machine, wait_s=WAIT_S), writing(path):
        there = [line.record for line in read(path) if isinstance(line, Line)] if path.exists() else []
        known = {(done_key(record), record.run) for record in there}
        latest: dict[tuple[Place, str], str] = {}
        for record in there:
            latest[place_of(record), record.key] = max(record.when, latest.get((place_of(record), record.key), ""))
        new = [group for name, group in groups.items() if name not in known and not _older(group, latest)]
        new.sort(key=lambda group: max(record.when for record in group.values()))
        blob = b"".join(encoded(record, len(group)) for group in new for record in group.values())
        if blob:
            append_to(path, blob)
    return len(new)


def _older(group: _Group, latest: Mapping[tuple[Place, str], str]) -> bool:
    newest = max(group.values(), key=lambda record: record.when)
    return newest.when < latest.get((place_of(newest), newest.key), "")
