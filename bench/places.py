"""The four folders that the suite uses: each is set by a flag, else by an environment variable, else a default. Imports no torch.

| place | flag | environment | default |
|---|---|---|---|
| project: reproductions/, README.md, plots/ | --project | SPIKECOST_PROJECT | up from the current folder, else the checkout |
| results: records and the tables made of them | --results | SPIKECOST_RESULTS | results/ in the project |
| data: the data sets; read-only if they exist | --data-root | SPIKECOST_DATA_ROOT | the user's cache folder |
| cache: prepared data sets | --cache | SPIKECOST_CACHE | prepared/ in the user's cache folder |

Data and cache: bench/datasets/store.py. The code whose digest a record holds is the code that runs (``CODE``), in none of these.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UserError
from bench.files import existing

CODE = Path(__file__).resolve().parents[1]  # holds the running packages bench and reproductions
PROJECT, RESULTS = "SPIKECOST_PROJECT", "SPIKECOST_RESULTS"
REMEDY = f"name the folder that holds reproductions/ (--project, {PROJECT})"
_MARKS = ("reproductions", "results")  # a folder that holds both is a project


@dataclass(frozen=True)
class Project:
    """Folders that commands read and write: pages and plots below ``root``, records and tables below ``results``."""

    root: Path
    results: Path

    @property
    def reproductions(self) -> Path:
        return self.root / "reproductions"

    @property
    def plots(self) -> Path:
        return self.root / "plots"

    def require_writable(self) -> None:
        """Raise UserError, before anything is measured, if a run could not write into one of its folders."""
        pages = {page.parent for page in self.reproductions.glob("*/README.md")}
        for folder in sorted({self.root, self.plots, self.results, *pages}):
            place = next(place for place in (folder, *folder.absolute().parents) if place.exists())
            if not os.access(place, os.W_OK | os.X_OK):
                raise UserError(
                    f"nothing can be written into {place}: change its permissions, or name a project and results of your own "
                    f"(--project, {PROJECT}; --results, {RESULTS})"
                )

    def name(self, path: Path) -> str:
        """Return a path for display: relative to the project if it lies inside it."""
        return str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)


def project_of(project: Path | None = None, results: Path | None = None) -> Project:
    """Return the named project, else the one that contains the current folder, else the checkout that contains the code.

    Raises UserError if the named folder is no project, if there is no project, or if it is the folder of the installed code.
    """
    named = project or _from(PROJECT)
    root = _named_project(named) if named else _found_project()
    if root.resolve() == CODE and not _is_checkout(CODE):
        raise UserError(f"{root} is where spikecost is installed, and no project: nothing is written there; {REMEDY}")
    chosen = (results or _from(RESULTS) or root / "results").expanduser()
    if chosen.exists() and not chosen.is_dir():
        raise UserError(f"{chosen} is not a folder; name the folder of the results (--results, {RESULTS})")
    return Project(root, chosen)


def _named_project(named: Path) -> Path:
    root = existing(named, "project", REMEDY)
    if not (root / "reproductions").is_dir():
        raise UserError(f"{root} is not a project: it has no reproductions/; {REMEDY}")
    return root


def _found_project() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        if all((folder / mark).is_dir() for mark in _MARKS):
            return folder
    if _is_checkout(CODE):
        return CODE
    raise UserError(f"no project here: a checkout of the repository is one; name it with --project or {PROJECT}")


def _is_checkout(folder: Path) -> bool:
    return (folder / "pyproject.toml").is_file()


def _from(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value) if value else None
