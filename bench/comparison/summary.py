"""Means over seeds, with 95 % intervals, and the table of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from bench.claims.estimate import Estimate, of_seeds, sampling_half_width
from bench.comparison.results import Line
from bench.quantity import size

START, END = "<!-- generated: table -->", "<!-- end -->"


@dataclass(frozen=True)
class Row:
    """One case: its algorithm, and the test accuracy (%) after the last epoch over its seeds."""

    title: str
    algorithm: str
    accuracy: Estimate
    lines: tuple[Line, ...]

    @property
    def peak(self) -> int:
        return self.lines[0].peak

    @property
    def macs(self) -> int:
        return self.lines[0].macs


def rows(lines: Sequence[Line]) -> list[Row]:
    """Return one row per case, in the order of the lines.

    The interval is Student's over seeds, widened by the sampling of the test set, which all seeds share.
    """
    by_case: dict[str, list[Line]] = {}
    for line in lines:
        by_case.setdefault(line.title, []).append(line)
    found = []
    for title, of_case in by_case.items():
        last = [line.run.tests[-1] for line in of_case]
        noise = sampling_half_width(sum(last) / len(last), of_case[0].run.test_samples)
        found.append(Row(title, str(of_case[0].recipe["algorithm"]), of_seeds(last, noise), tuple(of_case)))
    return found


def table(found: Sequence[Row]) -> str:
    """Return the table as Markdown."""
    head = (
        "| algorithm | test accuracy, % | 95 % interval | seeds | peak of a step | MACs of a step |\n|---|--:|--:|--:|--:|--:|\n"
    )
    return head + "".join(_row(row) for row in found)


def _row(row: Row) -> str:
    mean, low, high = row.accuracy.value, row.accuracy.low, row.accuracy.high
    interval = f"{max(low, 0):.1f} to {min(high, 100):.1f}" if isfinite(low) else "one seed has none"
    return f"| {row.title} | {mean:.1f} | {interval} | {len(row.lines)} | {size(row.peak)} | {row.macs:.3g} |\n"


def filled(page: str, text: str) -> str:
    """Return a page with ``text`` between the markers; a page without markers as it is."""
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    return f"{before}{start}\n{text}{end}{after}" if start and end else page
