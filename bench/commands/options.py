"""Options and arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from bench.case import SCALES
from bench.datasets.store import CACHE, VARIABLE
from bench.places import PROJECT, RESULTS

Command = TypeVar("Command", bound=Callable[..., object])


def place(flag: str, variable: str, what: str) -> Callable[[Command], Command]:
    """An option that names a folder; an environment variable that is set to nothing is not set."""
    return click.option(flag, envvar=variable, type=click.Path(path_type=Path), help=f"{what}; environment: {variable}")


paper = click.argument("paper", required=False)
scale = click.option("--scale", default="laptop", show_default=True, help=f"{', '.join(SCALES)}")
data_root = place("--data-root", VARIABLE, "folder of the data sets; may be read-only [default: the user's cache folder]")
cache = place("--cache", CACHE, "folder of prepared data sets [default: prepared/ in the user's cache folder]")
project = place(
    "--project",
    PROJECT,
    "folder that holds reproductions/ and README.md [default: upwards from the current folder, else the checkout]",
)
results = place("--results", RESULTS, "folder of the measured records [default: results/ in the project]")

retry = click.option("--retry", is_flag=True, help="measure again what failed, was refused or ran out of memory or time")
