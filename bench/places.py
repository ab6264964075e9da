"""Where things lie: four places, each named by a flag, else by an environment variable, else by a default. Imports no torch.

| place | flag | environment | default |
|---|---|---|---|
| project: reproductions/, README.md, plots/ | --project | SPIKECOST_PROJECT | up from the current folder, else the checkout |
| results: what was measured, and the tables of it | --results | SPIKECOST_RESULTS | results/ in the project |
| data: the data sets, only ever read if they are there | --data-root | SPIKECOST_DATA_ROOT | the user's cache folder |
| cache: what is prepared of them | --cache | SPIKECOST_CACHE | prepared/ in the user's cache folder |

Data and cache: bench/datasets/store.py. The code whose digest a record bears is none of these: it is what runs (``CODE``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bench.files import existing
from bench.spec import UserError

CODE = Path(__file__).resolve().parents[1]  # holds the packages bench and reproductions that run
PROJECT, RESULTS = "SPIKECOST_PROJECT", "SPIKECOST_RESULTS"
_MARKS = ("reproductions", "results")  # a folder that holds both is a project


@dataclass(frozen=True)
class Project:
    """What a command reads and writes: pages and plots under ``root``, records and tables under ``results``."""

    root: Path
    results: Path

    @property
    def reproductions(self) -> Path:
        return self.root / "reproductions"

    @property
    def plots(self) -> Path:
        return self.root / "plots"

    def require_writable(self) -> None:
        """UserError, before anything is measured, for a folder that what a run gives could not be written into."""
        pages = {page.parent for page in self.reproductions.glob("*/README.md")}
        for folder in sorted({self.root, self.plots, self.results, *pages}):
            place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
            if not os.access(place, os.W_OK | os.X_OK):
                raise UserError(
                    f"nothing can be written into {place}: mend its permissions, or name a project and results of your own "
                    f"(--project, {PROJECT}; --results, {RESULTS})"
                )

    def name(self, path: Path) -> str:
        """A file as people call it: by its place in the project, if it lies there."""
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)


def project_of(project: Path | None = None, results: Path | None = None) -> Project:
    """The project that is named, else the one the current folder lies in, else the checkout that the code stands in.

    Raises UserError if the place named is no project, or if there is none.
    """
    named = project or _from(PROJECT)
    root = _named_project(named) if named else _found_project()
    kept = (results or _from(RESULTS) or root / "results").expanduser()
    if kept.exists() and not kept.is_dir():
        raise UserError(f"the results {kept} are no folder; name the folder of what was measured (--results, {RESULTS})")
    return Project(root, kept)


def _named_project(named: Path) -> Path:
    remedy = f"name the folder that holds reproductions/ (--project, {PROJECT})"
    root = existing(named, "project", remedy)
    if not (root / "reproductions").is_dir():
        raise UserError(f"{root} is no project: it holds no reproductions/; {remedy}")
    return root


def _found_project() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if all((folder / mark).is_dir() for mark in _MARKS):
            return folder
    if (CODE / "pyproject.toml").is_file():
        return CODE
    raise UserError(f"no project here: name the folder that holds reproductions/ and results/ with --project or {PROJECT}")


def _from(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None
