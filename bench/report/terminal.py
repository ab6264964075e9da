"""The decided claims of a report, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.claims import Verdict
from bench.figures.measured import measured
from bench.report.chapters import Report
from bench.report.tables import counted, day

if TYPE_CHECKING:
    from rich.table import Table


def summary(report: Report, papers: Sequence[str], run: str = "", width: int = 100) -> str:
    """The decided claims and all counts of ``papers``, for a terminal: first what ``run`` decided, then the rest."""
    import io

    from rich.console import Console

    out = io.StringIO()
    console = Console(file=out, width=width, highlight=False, markup=False)
    for chapter in (chapter for chapter in report.chapters if chapter.name in papers):
        console.print(f"\n{chapter.name}: {counted(chapter.verdicts)}")
        by_run = [v for v in chapter.decided if run and run in v.runs]
        earlier = [v for v in chapter.decided if v not in by_run]
        if run:
            console.print(f"claims decided by this run: {len(by_run)}; by records stored before it: {len(earlier)}")
        by_origin: dict[str, list[Verdict]] = {}
        for verdict in (*by_run, *earlier):
            by_origin.setdefault(_origin(verdict, run), []).append(verdict)
        for origin, verdicts in by_origin.items():
            console.print(f"{origin}:")
            console.print(_table(verdicts))
    return out.getvalue().rstrip().removeprefix("\n")


def _origin(verdict: Verdict, run: str) -> str:
    """Who decided it, where and when."""
    place = f"on {verdict.machine}, {day(verdict)}"
    if not run:
        return place
    if run not in verdict.runs:
        return f"decided before this run, {place}"
    return "decided by this run" if verdict.runs == (run,) else "decided by this run with records of earlier ones"


def _table(verdicts: Sequence[Verdict]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in ("verdict", "claim", "reported", "measured"):
        table.add_column(column, overflow="fold")
    for v in verdicts:
        table.add_row(v.verdict, v.claim.statement, v.claim.printed, measured(v))
    return table
