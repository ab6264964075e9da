"""``records``: checks a results folder that was measured elsewhere, and takes it in."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from bench.claims.judge import planned_by
from bench.commands import options
from bench.commands.group import Group
from bench.commands.reporting import digest_for
from bench.contributions.check import problems, store_of
from bench.contributions.take import take
from bench.errors import UserError
from bench.places import project_of
from bench.plan import papers
from bench.quantity import count_of
from bench.record_store import Store

folder = click.argument("folder", type=click.Path(path_type=Path))


@click.group(cls=Group)
def records() -> None:
    """Check a results folder that was measured elsewhere, and take it in (docs/contributing_results.md)."""


@records.command()
@folder
def check(folder: Path) -> None:
    """Say whether the records in FOLDER would be believed here; one line per problem."""
    _checked(folder)
    click.echo(f"{folder}: every record would be believed here; take them in with `spikecost records add`")


@records.command()
@folder
@options.project
@options.results
def add(folder: Path, project: Path | None, results: Path | None) -> None:
    """Check the records in FOLDER and add them to the results here; those that are there stay as they are."""
    place = project_of(project, results)
    if folder.resolve() == place.results.resolve():
        raise UserError(f"{folder} is the folder of the results here; name the one that was handed in")
    source = _checked(folder)
    place.require_writable()
    for taken in take(source, Store(place.results), papers()):
        there = f"; {taken.there} were there" if taken.there else ""
        click.echo(f"{taken.paper} on {taken.machine}: {count_of(taken.added, 'case')} added{there}")
    click.echo("judge by them and draw: spikecost report")


def _checked(folder: Path) -> Store:
    """Return the store of a folder without problems; else print these and raise UserError."""
    store = store_of(folder)
    found = list(problems(store, {paper: planned_by(paper) for paper in papers()}, digest_for, datetime.now(UTC)))
    for line in found:
        click.echo(line)
    if found:
        raise UserError(f"{count_of(len(found), 'problem')} in {folder}, see above; nothing was added")
    return store
