"""`spikecost report` in a process of its own, with every record counted: `python -m tests.report.generate PROJECT DRAWN`.

Prints the heavy libraries that the command line and the report need before any figure, and those of all figures, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import bench.cli as cli
from bench.commands import reporting
from tests.report.reading import drawn_once, trusting

HEAVY = ("torch", "snntorch", "spikingjelly", "sklearn", "matplotlib", "pandas")


def main(project: str, drawn: str) -> None:
    before = sorted(sys.modules.keys() & HEAVY)
    from bench import figures

    reporting.fresh = trusting
    figures.FIGURES = tuple(drawn_once(figure, Path(drawn)) for figure in figures.FIGURES)  # type: ignore[assignment]
    cli.main(["report", "--project", project], standalone_mode=False)
    print(json.dumps({"before": before, "after": sorted(sys.modules.keys() & HEAVY)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
