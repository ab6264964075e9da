"""The command line. It imports torch for workers, measure, compare, zoo, train, fit and ``list NAME`` alone."""

from __future__ import annotations

import click

from bench.commands.catalogue import list_
from bench.commands.cluster import status_
from bench.commands.contributing import records
from bench.commands.fitting import fit
from bench.commands.gpu_check import gpu_check
from bench.commands.group import Group
from bench.commands.modules import compare, measure
from bench.commands.papers import plan_, run
from bench.commands.reporting import report
from bench.commands.timing import speed
from bench.commands.zoo import zoo
from bench.comparison.command import new, train
from bench.places import CODE


def _version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from bench.runner.store import commit_of, version_of

        click.echo(f"spikecost {version_of('spikecost')}, code of {commit_of(CODE)}")
        ctx.exit()


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show version and commit.")
def main() -> None:
    """Measure memory-saving training algorithms for spiking networks and compare them with what their papers report."""


for _command in (list_, plan_, run, status_, fit, speed, gpu_check, report, records, measure, compare, zoo, new, train):
    main.add_command(_command)
