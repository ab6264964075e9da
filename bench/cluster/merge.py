"""Takes the records of jobs over into results/."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.cluster.submission import Submission
from bench.record import Record
from bench.record_store import LeftOut, Store, adopt


def merge(submission: Submission) -> tuple[int, list[LeftOut]]:
    """Add the records of the submission's jobs to results/; return the number of cases added and the lines that were left out.

    A case that is there is not added again, so that merging may be repeated, also while jobs run.
    """
    main, added = Store(submission.results), 0
    left_out: list[LeftOut] = []
    stores = [submission.store(number) for number in range(len(submission.shares))]
    machines = {machine: identity for store in stores for machine, identity in store.machines().items()}
    for machine, identity in sorted(machines.items()):
        main.describe(machine, identity)
        for paper in submission.papers():
            having = [store for store in stores if store.path(paper, machine).exists()]
            if having:
                added += adopt(main, paper, machine, _of_machine(having, paper, machine, left_out))
    return added, left_out


def _of_machine(stores: Sequence[Store], paper: str, machine: str, left_out: list[LeftOut]) -> Iterator[list[Record]]:
    """The records of one store at a time: together they may not fit into memory."""
    for store in stores:
        found, damaged = store.load(paper)
        left_out += damaged
        yield [record for record in found if record.machine == machine]
