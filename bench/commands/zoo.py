"""The command ``spikecost zoo``."""

from __future__ import annotations

from pathlib import Path

import click

from bench.files import write_whole
from bench.lift.zoo_page import PAGE, RESULTS, page
from bench.places import project_of


@click.command()
@click.option("--only", default="", metavar="REGEX", help="networks whose name holds it [default: all]")
@click.option("--part", "parts", type=click.Choice(["cost", "checks"]), multiple=True, help="only this [default: both]")
@click.option("--again", is_flag=True, help="also what the same code has measured already")
@click.option("--page", "page_only", is_flag=True, help="measure nothing: write docs/zoo.md from what is there")
@click.option("--project", type=click.Path(path_type=Path), envvar="SPIKECOST_PROJECT", help="folder of the project")
def zoo(only: str, parts: tuple[str, ...], again: bool, page_only: bool, project: Path | None) -> None:
    """Measure and check SpikingJelly's model zoo and snnTorch's tutorial networks, and write docs/zoo.md.

    Every network in a process of its own; a run may be stopped, and goes on where it was.
    """
    from bench.runner.zoo import Zoo, run

    here = project_of(project)
    if not page_only:
        from bench.lift.zoo_networks import ZOO

        for network, part, outcome in run(here, list(ZOO), only, parts or ("cost", "checks"), again):
            click.echo(f"{network}, {part}: {outcome}")
    lines = list(Zoo(here.results / RESULTS).lines().values())
    write_whole(here.root / "docs" / PAGE, page(lines).encode())
