"""Takes the records of jobs over into results/."""

from __future__ import annotations

from bench.cluster.submission import Submission
from bench.record_store import LeftOut, Store, adopt


def merge(submission: Submission) -> tuple[int, list[LeftOut]]:
    """Add the records of the submission's jobs to results/; return the number of cases added and the lines that were left out.

    A case that is there is not added again, so that merging may be repeated, also while jobs run.
    """
    main, added, left_out = Store(submission.results), 0, []
    by_paper: dict[str, list[Store]] = {}
    for number in range(len(submission.shares)):
        store = submission.store(number)
        for paper in store.papers():
            by_paper.setdefault(paper, []).append(store)
        for machine, identity in store.machines().items():
            main.describe(machine, identity)
    for paper, stores in by_paper.items():
        records = []
        for store in stores:
            found, damaged = store.load(paper)
            records += found
            left_out += damaged
        added += adopt(main, paper, records)
    return added, left_out
