"""Headings, lists and warnings in a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import click

from bench.record_store import LeftOut

_WARNINGS = 10  # shown in full; of more, the number


def warn_of(left_out: Sequence[LeftOut]) -> None:
    for line in left_out[:_WARNINGS]:
        warn(line)
    if len(left_out) > _WARNINGS:
        warn(f"{len(left_out) - _WARNINGS} more like these")


def warn(what: object) -> None:
    click.echo(f"warning: {what}", err=True)


def listed(title: str, values: list[str]) -> None:
    click.echo(bold(title) + "\n  " + "\n  ".join(values))


def bold(text: str) -> str:
    return click.style(text, bold=True)  # click.echo takes it away where there is no terminal
