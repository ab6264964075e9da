"""``list``: what there is, and what of it can be used here."""

from __future__ import annotations

from pathlib import Path

import click

from bench import datasets, listing, zoo
from bench.commands import options
from bench.commands.printing import listed
from bench.plan import papers


@click.command("list")
@click.argument("name", required=False)
@options.data_root
def list_(name: str | None, data_root: Path | None) -> None:
    """List what there is and what of it can be used here; with NAME, the options of an algorithm, backend or probe."""
    if name is not None:
        click.echo("\n".join(listing.about(name)))
        return
    datasets.data_root(data_root)
    listed("papers", papers())
    listed("algorithms", listing.of_algorithms())
    listed("backends, with the installed framework (imported when it is used)", listing.of_backends())
    listed("networks", zoo.names())
    listed("data sets", listing.of_data_sets(data_root))
    listed("probes", listing.of_probes())
    click.echo("options of an algorithm, backend or probe: spikecost list NAME")
