"""Takes the records of a checked results folder into another one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.contributions.check import counting
from bench.record import Record
from bench.record_store import Store, adopt, done_key


@dataclass(frozen=True)
class Taken:
    """Cases of a paper from a machine: how many were added, and how many were left out because they, or newer, are there."""

    paper: str
    machine: str
    added: int
    there: int


def take(source: Store, target: Store, papers: Iterable[str]) -> list[Taken]:
    """Add the complete cases of ``source`` to ``target``, those of a machine in one write. What is there stays as it is."""
    taken = []
    for paper in papers:
        by_machine: dict[str, list[Record]] = {}
        for record in counting(source, paper):
            by_machine.setdefault(record.machine, []).append(record)
        for machine, records in by_machine.items():
            target.describe(machine, source.machines()[machine])
            added = adopt(target, paper, machine, [records])
            taken.append(Taken(paper, machine, added, len({(done_key(record), record.run) for record in records}) - added))
    return taken
