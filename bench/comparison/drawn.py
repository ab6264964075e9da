"""What both figures of a comparison share: the lines, their looks, and where the numbers come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bench.comparison.summary import Row
from bench.figures import style
from bench.figures.paper import Origin
from bench.registry import Colour, Dash


@dataclass(frozen=True)
class Drawn:
    """How one case is drawn: the colour of its algorithm, and a dash that differs between cases of one algorithm."""

    colour: Colour
    dash: Dash


def looks(rows: Sequence[Row]) -> list[Drawn]:
    seen: Counter[str] = Counter()
    found = []
    for row in rows:
        found.append(Drawn(style.algorithm(row.algorithm).colour, style.variant(seen[row.algorithm])))
        seen[row.algorithm] += 1
    return found


def subtitle(rows: Sequence[Row]) -> str:
    """Return what all trainings share, in words."""
    recipe = rows[0].lines[0].recipe
    shared = f"T = {recipe['T']}, batch {recipe['batch']}, {recipe['epochs']} epochs, {recipe['optimizer']}, lr {recipe['lr']:g}"
    return f"{rows[0].lines[0].samples}, {shared}; lines: mean over seeds, bands: their range."


def origin(rows: Sequence[Row]) -> Origin:
    """Return where the numbers come from; a comparison has no scale."""
    lines = [line for row in rows for line in row.lines]
    machines, commits = sorted({line.machine for line in lines}), sorted({line.commit for line in lines})
    seeds = sorted({len(row.lines) for row in rows})
    parts = [
        f"machine {', '.join(machines)}",
        f"commit {', '.join(commit[:10] for commit in commits)}",
        f"{' or '.join(map(str, seeds))} seed{'' if seeds == [1] else 's'} a line",
    ]
    return {
        "caption": " · ".join(parts),
        "machines": machines,
        "commits": commits,
        "scales": [],
        "records": len(lines),
        "records by older code": 0,
    }
