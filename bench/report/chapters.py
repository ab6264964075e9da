"""What a report is made of: one chapter per paper, judged from the records in results/."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from bench import readers
from bench.claims import Verdict, judge, load_claims
from bench.claims.gates import GateState, gate_states
from bench.claims.judge import planned_by
from bench.errors import UserError, choose
from bench.figures.paper import Paper
from bench.machine import Identity
from bench.places import Project
from bench.plan import papers
from bench.record import Record
from bench.record_store import LeftOut, Store, latest
from bench.registry import ALGORITHMS
from bench.report.tables import cost_table

DECIDED = ("reproduced", "exceeded", "partly", "cannot tell", "not reproduced", "stale")


class About(TypedDict):
    """What a paper is, as pages show it."""

    title: str
    authors: list[str]
    venue: str
    link: str
    summary: str
    algorithm: str  # whose equations are shown; empty: none


@dataclass(frozen=True)
class Chapter:
    """One paper in the report: what it is, what was judged, what is drawn."""

    paper: Paper
    about: About
    figures: Mapping[str, Mapping[str, object]]  # by name: data of every figure that has something to show
    cost: Sequence[Mapping[str, str]]

    @property
    def name(self) -> str:
        return self.paper.name

    @property
    def verdicts(self) -> Sequence[Verdict]:
        return self.paper.verdicts

    @property
    def decided(self) -> list[Verdict]:
        return [v for v in self.verdicts if v.verdict in DECIDED]

    @property
    def undecided(self) -> list[Verdict]:
        return [v for v in self.verdicts if v.verdict not in DECIDED]

    @property
    def gates(self) -> dict[tuple[str, str], GateState]:
        """The state of the gates of each network and backend that were planned or measured."""
        return gate_states(self.paper.records, self.paper.fresh, self.paper.planned)


@dataclass(frozen=True)
class Report:
    """The whole report of a project: its papers, its machines, and the records in results/ that were rejected."""

    project: Project
    chapters: Sequence[Chapter]
    machines: Mapping[str, Identity]
    left_out: Sequence[LeftOut]

    @property
    def day(self) -> str:
        """Of the latest record: the same results give the same page."""
        return max((record.when[:10] for chapter in self.chapters for record in chapter.paper.records), default="")

    @property
    def version(self) -> str:
        """Of this package."""
        from bench.runner.store import version_of

        return version_of("spikecost")


def read(project: Project, fresh: Callable[[Record], bool]) -> Report:
    """Every paper under reproductions/, judged from results/. ``fresh``: whether today's code would make a record so."""
    from bench.figures import FIGURES

    store = Store(project.results)
    found = []
    folders = sorted({path.parent for name in ("paper.toml", "claims.toml") for path in project.reproductions.glob(f"*/{name}")})
    known = {*papers(), *(folder.name for folder in folders)}
    left_out = dict.fromkeys([*store.damaged_machines(), *store.strays(known)])
    for folder in folders:
        accepted, lines = store.load(folder.name)
        left_out |= dict.fromkeys(lines)
        records = latest(accepted)
        verdicts = judge(load_claims(folder), records, fresh)
        context = toml(folder / "context.toml") if (folder / "context.toml").exists() else {}
        paper = Paper(folder.name, records, verdicts, context, fresh, planned_by(folder.name))
        drawn = {}
        for figure in FIGURES:
            with readable(f"figure {figure.name} of {folder.name}"):
                data = figure.data(paper)
            if data is not None:
                drawn[figure.name] = data
        found.append(Chapter(paper, about(folder / "paper.toml"), drawn, cost_table(paper)))
    # Last: those of which nothing was measured, then those that claim nothing.
    found.sort(key=lambda chapter: (not chapter.verdicts, not chapter.paper.records))
    return Report(project, found, store.machines(), list(left_out))


@contextmanager
def readable(what: str) -> Iterator[None]:
    """A record's detail may hold anything; where it is not what its probe writes, UserError says what was not made of it."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise UserError(
            f"{what} cannot be made: the detail of a record or context.toml is not what it reads "
            f"({type(error).__name__}: {error}); take results/runs/ and context.toml back from git, or measure again"
        ) from error


def about(path: Path) -> About:
    """Every field that a page shows must be there."""
    content = toml(path)

    def text(name: str) -> str:
        return readers.text(content.get(name), f"field {name}")

    try:
        return {
            "title": text("title"),
            "authors": readers.texts(content.get("authors"), "field authors"),
            "venue": text("venue"),
            "link": text("link"),
            "summary": text("summary"),
            "algorithm": choose("algorithm", text("algorithm"), ALGORITHMS) if "algorithm" in content else "",
        }
    except TypeError as error:
        raise UserError(f"{path}, {error}; pages show it (see docs/adding_a_paper.md)") from None


def toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; every paper has one (see docs/adding_a_paper.md)") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid TOML: {error}") from None
