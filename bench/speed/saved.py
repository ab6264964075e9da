"""Saves a run of workloads as results/speed/<machine>/{speed.json, goals.md, speed.svg}."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.machine import identity, machine_id
from bench.speed import draw, goals
from bench.speed.turns import Run

ABOUT = """# Goals of the native backend

Ratios in one run, each row in a process of its own, all rows in turns: the median of the ratios turn by turn, in
brackets their quartiles and how many turns. Bold: the goal is met. Bytes are counted exactly, at batch 128. What was
not measured is filled by `make benchmark` on a machine that can. The last columns name the rows divided: ours is the
fastest, or where bytes are counted the smallest, of those that the goal speaks of.

"""


def save(runs: Sequence[Run], results: Path, provenance: Mapping[str, Any]) -> Path:
    """Write the results of the runs on one machine. ``provenance``: commit, date, versions. Returns the folder."""
    about = identity()
    machine = machine_id(about)
    folder = results / "speed" / machine
    folder.mkdir(parents=True, exist_ok=True)
    content = {**provenance, "machine": about, "runs": [_plain(run) for run in runs]}
    (folder / "speed.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (folder / "goals.md").write_text(ABOUT + goals.table(runs) + "\n" + _list(goals.standing(runs)), encoding="utf-8")
    plotted = draw.data(runs, machine, str(provenance["commit"]))
    (folder / "speed.svg").write_text(draw.render(plotted), encoding="utf-8")
    return folder


def _plain(run: Run) -> dict[str, Any]:
    rows = [{**asdict(timed), "row": str(timed.row)} for timed in run.timed]
    return {"workload": asdict(run.workload), "device": run.device, "rows": rows, "refused": dict(run.refused)}


def _list(lines: str) -> str:
    return "".join(f"- {line}\n" for line in lines.splitlines())
