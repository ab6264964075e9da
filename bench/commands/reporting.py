"""``report``: judges every claim and draws every figure from the records in results/."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from bench.case import Case
from bench.commands import options
from bench.commands.printing import warn_of
from bench.errors import UserError
from bench.places import Project, project_of
from bench.plan import digest_of
from bench.quantity import count_of
from bench.record import Record, apart


@click.command()
@options.project
@options.results
@click.option("--check", is_flag=True, help="write nothing; fail if a generated file does not match the results")
def report(project: Path | None, results: Path | None, check: bool) -> None:
    """Judge every claim from the records in results/ and draw the figures."""
    place = project_of(project, results)
    if check:
        _check(place)
    else:
        write_report(place)


def write_report(place: Project, shown: Sequence[str] = (), run: str = "") -> None:
    """Write the generated files and print a summary of the papers ``shown`` (default: all)."""
    from bench import report as reporting

    found = reporting.read(place, fresh)
    written = reporting.write(found)
    warn_of(found.left_out)
    click.echo(reporting.summary(found, shown or [chapter.name for chapter in found.chapters], run))
    if found.left_out:
        click.echo(f"{count_of(len(found.left_out), 'warning')}: the verdicts above do not use every record in {place.results}")
    click.echo(f"{count_of(len(written), 'file')} changed; open {_from_here(place.plots / 'index.html')}")


def _check(place: Project) -> None:
    from bench import report as reporting

    found = reporting.read(place, fresh)
    stale = reporting.check(found)
    for line in stale:
        click.echo(line)
    warn_of(found.left_out)
    problems = []
    if found.left_out:
        problems.append(f"{len(found.left_out)} lines or files of {place.results} were left out, see above")
    if stale:
        problems.append("generated files do not match results/: run `spikecost report`")
    if problems:
        raise UserError("; ".join(problems))
    click.echo("every generated file matches results/")


def _from_here(path: Path) -> Path:
    """As it can be opened from the current folder."""
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def digest_for(record: Record) -> str:
    """The digest of the code that would measure a record here."""
    return digest_of(Case.of(record.case), apart(record.device)[0])


def fresh(record: Record) -> bool:
    """Whether the code that made a record is the code that is here."""
    try:
        return digest_for(record) == record.digest
    except (UserError, TypeError):  # a case of an older version, naming what is no longer there
        return False
