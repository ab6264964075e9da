"""The commands ``spikecost new comparison NAME`` and ``spikecost train FOLDER``. They import torch only when they run."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console


@click.group()
def new() -> None:
    """Write a folder of files to begin with; `new comparison` is the only kind."""


@new.command()
@click.argument("folder", metavar="NAME", type=click.Path(path_type=Path))
def comparison(folder: Path) -> None:
    """Write a folder NAME that compares algorithms on your own network and samples; `spikecost train NAME` runs it."""
    from bench.comparison.new import write

    for path in write(folder):
        click.echo(path)
    click.echo(f"put your network and samples into it, then: spikecost train {folder}")


@click.command()
@click.argument("folder", metavar="FOLDER", type=click.Path(path_type=Path))
def train(folder: Path) -> None:
    """Train the missing cases of a comparison (see `new comparison`), and draw its figures and table.

    It may be stopped at any time: trainings that have ended are kept, and the same command continues from there.
    """
    with Console(stderr=True).status("loading ...") as status:  # shown on a terminal only
        from bench.comparison.run import complete
        from bench.comparison.summary import table

        rows = complete(folder, click.echo, status.update)
    click.echo(table(rows), nl=False)
    click.echo(f"figures and table: {folder / 'README.md'}")
