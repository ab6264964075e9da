"""Table and figure of the runs of one machine: results/speed/<machine>/{goals.md, speed.svg}."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.files import write_whole
from bench.speed import draw, goals
from bench.speed.saved import FORMER, Saved

ABOUT = f"""# Goals of the native backend

Ratios in one run, each row in a process of its own, all rows in turns: the median of the ratios turn by turn, in
brackets their quartiles and how many turns. Bold: the goal is met. Bytes are counted exactly, at batch 128. What was
not measured is filled by `spikecost speed` on a machine that can. "Ours" and "against" name the rows divided: ours is
the fastest, or where bytes are counted the smallest, of those that the goal speaks of. "{FORMER.capitalize()}": the code of
the workload's network, algorithms or backends has changed since; `spikecost speed --workload NAME` times it again.

"""


def write(folder: Path, kept: Sequence[Saved]) -> None:
    """Write table and figure of the stored runs to ``folder``, results/speed/<machine>."""
    write_whole(folder / "goals.md", goals_page(kept).encode())
    write_whole(folder / "speed.svg", draw.render(draw.data(kept, folder.name)).encode())


def goals_page(kept: Sequence[Saved]) -> str:
    standing = goals.standing([saved.run for saved in kept])
    return ABOUT + goals.table(kept) + "\n" + "".join(f"- {line}\n" for line in standing.splitlines())
