"""Takes the records of a checked results folder into another one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.contributions.check import counting
from bench.record import Record
from bench.record_store import Store, done_key


@dataclass(frozen=True)
class Taken:
    """Cases of a paper from a machine: how many were added, and how many were there."""

    paper: str
    machine: str
    added: int
    there: int


def take(source: Store, target: Store, papers: Iterable[str]) -> list[Taken]:
    """Add the complete cases of ``source`` to ``target``, those of a machine in one write. What is there stays as it is.

    A case that the same kind of machine has measured with the same code is there already and is not added.
    """
    taken = []
    for paper in papers:
        by_machine: dict[str, dict[object, list[Record]]] = {}
        for record in counting(source, paper):
            by_machine.setdefault(record.machine, {}).setdefault(done_key(record), []).append(record)
        for machine, cases in by_machine.items():
            with target.locked(paper, machine):
                there = target.done(paper, machine)
                new = [records for key, records in cases.items() if key not in there]
                target.describe(machine, source.machines()[machine])
                target.append_cases(paper, machine, new)
            taken.append(Taken(paper, machine, len(new), len(cases) - len(new)))
    return taken
