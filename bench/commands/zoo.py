"""``zoo``: SpikingJelly's model zoo and snnTorch's tutorial networks, measured and checked, and their page."""

from __future__ import annotations

import json
from pathlib import Path

import click

from bench.commands import options
from bench.errors import UserError
from bench.files import write_whole
from bench.lift.zoo.page import PAGE, RESULTS, page
from bench.places import project_of


@click.command()
@options.project
@options.results
@click.option("--only", default="", metavar="TEXT", help="only networks whose name contains TEXT [default: all]")
@click.option(
    "--part",
    "parts",
    type=click.Choice(["cost", "checks", "front"]),
    multiple=True,
    help="only this part; may be repeated [default: all]",
)
@click.option("--again", is_flag=True, help="measure also what the present code has measured already")
@click.option("--page", "page_only", is_flag=True, help="measure nothing; write docs/zoo.md from results/zoo.jsonl")
def zoo(project: Path | None, results: Path | None, only: str, parts: tuple[str, ...], again: bool, page_only: bool) -> None:
    """Measure and check SpikingJelly's model zoo and snnTorch's tutorial networks, and write docs/zoo.md.

    Costs by every algorithm, checks, and exact fronts. Every network runs in a process of its own; a run may be stopped at
    any time, and the same command continues from there.
    """
    from bench.runner.zoo import Zoo, run

    here = project_of(project, results)
    if not page_only:
        from bench.lift.zoo import front as zoo_front
        from bench.lift.zoo.networks import ZOO

        if not any(only in name for name in ZOO):
            raise UserError(f"--only {only!r} matches no network; there are {', '.join(ZOO)}")
        work = {"cost": list(ZOO), "checks": list(ZOO), "front": zoo_front.names()}
        for network, part, outcome in run(here, {part: work[part] for part in parts or work}, only, again):
            click.echo(f"{network}, {part}: {outcome}")
    lines = list(Zoo(here.results / RESULTS).lines().values())
    write_whole(here.root / "docs" / PAGE, page(lines).encode())
    from bench.figures import exact_front

    drawn, place = exact_front.data(lines), here.plots / "zoo" / exact_front.name
    if drawn is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        write_whole(place.with_suffix(".json"), (json.dumps(drawn, indent=1, ensure_ascii=False) + "\n").encode())
        write_whole(place.with_suffix(".svg"), exact_front.render(drawn).encode())
