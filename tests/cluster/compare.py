"""Compares two projects: the values of all records but times, and the claims' verdicts. Exit status 1 if they differ.

usage: python tests/cluster/compare.py PROJECT OTHER
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from bench.record_store import Store, latest

TIMES = ("s",)  # units of values that differ between two runs
CLOCKED = ("seconds", "images_per_second")  # parts of a detail that do
RUNS = ("measured on", "runs")  # columns of the ledger that do: the day, and which runs measured it


def values(project: Path) -> dict[tuple[str, str, str], object]:
    """By machine, key and metric: everything that a record says of the value, but when and by which run it was measured."""
    store, found = Store(project / "results"), {}
    for paper in store.papers():
        records, left_out = store.load(paper)
        if left_out:
            sys.exit(f"{left_out[0]}")
        if len(records) != len(latest(records)):
            sys.exit(f"{project}: {len(records) - len(latest(records))} records were measured twice")
        for r in records:
            value = None if r.unit in TIMES else r.value
            how = (
                r.status,
                r.reason,
                r.unit,
                r.version,
                r.kernel,
                r.digest,
                r.commit,
                r.device,
                r.threads,
                r.precision,
                r.versions,
            )
            found[r.machine, r.key, r.metric] = (value, *how, {k: v for k, v in r.detail.items() if k not in CLOCKED})
    return found


def ledger(project: Path) -> list[dict[str, str]]:
    with (project / "results" / "ledger.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main(one: Path, other: Path) -> None:
    a, b = values(one), values(other)
    wrong = [f"{key}: {a.get(key)} and {b.get(key)}" for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]
    if len(ledger(one)) != len(ledger(other)):
        wrong.append("the ledgers have other claims")
    for left, right in zip(ledger(one), ledger(other), strict=False):
        wrong += [f"{left}: {name} is {right[name]!r}" for name in left if left[name] != right[name] and name not in RUNS]
    if wrong:
        sys.exit("\n".join([f"{len(wrong)} differences:", *wrong[:20]]))
    print(f"{len(a)} records and {len(ledger(one))} claims are equal")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
