"""The command ``spikecost fit``, for a network of the catalogue and for one's own. It imports torch only when it runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click
from rich.console import Console

from bench import zoo
from bench.case import Settings
from bench.commands.modules import memory, shape
from bench.errors import UserError, choose
from bench.overhead import HEADROOM, usable
from bench.registry import ALGORITHMS

if TYPE_CHECKING:
    from bench.lift.fitting.fit import Fitted


@click.command()
@click.argument("network", metavar="NETWORK|MODEL.PY:NETWORK")
@click.option("--input", "frame", metavar="SHAPE", help="of your own network: one time step of one sample, as 3,224,224")
@click.option("--T", "T", type=click.IntRange(min=1), required=True, help="time steps")
@click.option("--batch", type=click.IntRange(min=1), required=True, help="samples")
@click.option("--budget", metavar="SIZE", required=True, help="the card's memory, as 8GiB; a number alone is in GiB")
@click.option(
    "--headroom",
    type=float,
    default=HEADROOM / 2**30,
    show_default=True,
    help="GiB of the budget reserved for CUDA's context and workspaces",
)
@click.option("--encoding", help="of your own network: repeat (one image over time) or frames [default: repeat]")
@click.option("--optimizer", help="of your own network: sgd, adam, adamw, adamax, rmsprop or none [default: sgd]")
@click.option("--json", "as_json", is_flag=True, help="print everything as JSON")
def fit(
    network: str,
    frame: str | None,
    T: int,
    batch: int,
    budget: str,
    headroom: float,
    encoding: str | None,
    optimizer: str | None,
    as_json: bool,
) -> None:
    """Find the cheapest exact training step that fits a card's memory. Needs no GPU and no data.

    NETWORK is a network of the catalogue. MODEL.PY:NETWORK names a file (or a package) and a function or class in it that makes
    your own. Cheapest means fewest dense multiply-accumulates.
    """
    card, kept = memory(budget), headroom * 2**30
    if ":" in network:
        if frame is None:
            raise UserError(
                f"{network} is a network of your own: give the shape of one time step of one sample, --input 3,224,224"
            )
        given = {"encoding": encoding or "repeat", "optimizer": None if optimizer == "none" else optimizer or "sgd"}
        _of_a_module(network, shape(frame), {"T": T, "batch": batch, "budget": card, "headroom": kept, **given}, as_json)
        return
    choose("network", network, zoo.names())
    for name, value in (("--input", frame), ("--encoding", encoding), ("--optimizer", optimizer)):
        if value is not None:
            raise UserError(f"{name} {value} with {network} of the catalogue, whose input and optimizer are known: leave it out")
    _of_the_catalogue(network, T, batch, card, kept, as_json)


def _of_the_catalogue(network: str, T: int, batch: int, budget: float, headroom: float, as_json: bool) -> None:
    allowed = usable(budget, headroom)
    from bench.planning.schedules import cheapest

    click.echo(f"counting training steps of {network} on tensors without storage: seconds, or a minute ...", err=True)
    plan = cheapest(network, T, batch, budget, headroom)
    algorithm, options = plan.schedule.algorithm, plan.schedule.options
    if as_json:
        found = {"algorithm": algorithm, "options": options, "peak": plan.peak, "ratio": plan.macs_ratio, "allowed": allowed}
        click.echo(json.dumps(found, indent=2))
        return
    recomputed = f"{plan.schedule.recomputed} of {T} steps are recomputed"
    _tell(algorithm, options, plan.peak, _allowed(allowed, budget, headroom), f"{recomputed}: {plan.macs_ratio:.3f} times")
    click.echo(f'  Python   spikecost.training_step("{network}", "{algorithm}", "native"{_settings(options)})')


def _of_a_module(source: str, frame: tuple[int, ...], settings: Settings, as_json: bool) -> None:
    allowed = usable(settings["budget"], settings["headroom"])
    with Console(stderr=True).status("building and counting ..."):  # shown on a terminal only
        from bench.lift.fitting.fit import fit as fitted
        from bench.lift.recognition.source import build, load

        built = build(load(source))
        found: Fitted = fitted(built.net, frame, **settings)
    if as_json:
        click.echo(json.dumps(found.as_dict() | ({"built": built.note} if built.note else {}), indent=2))
        return
    algorithm, options = found.schedule.algorithm, found.schedule.options
    words = _allowed(allowed, settings["budget"], settings["headroom"])
    layers = options.get("layers")
    depth = (
        f"{len(layers)} groups of layers are" if layers else "no layer with weights is" if layers is not None else "nothing is"
    )
    _tell(algorithm, options, found.schedule.peak, words, f"{depth} recomputed: {found.ratio:.3f} times")
    click.echo(f"  bound    {found.bound}")
    click.echo(f'  Python   spikecost.training_step(net, "{algorithm}"{_settings(options)})')
    if built.note:
        click.echo(f"  note     {built.note}")


def _allowed(allowed: float, budget: float, headroom: float) -> str:
    return f"{allowed / 2**30:g} GiB allowed: {budget / 2**30:g} GiB less a headroom of {headroom / 2**30:g}"


def _tell(algorithm: str, options: Mapping[str, object], peak: int, allowed: str, forward: str) -> None:
    click.secho(ALGORITHMS[algorithm].title + _settings(options), bold=True)
    click.echo(f"  peak     {peak / 2**30:.3f} GiB of live tensors, counted; {allowed}")
    click.echo(f"  MACs     {forward} BPTT's")


def _settings(options: Mapping[str, object]) -> str:
    return "".join(f", {name}={value!r}" for name, value in options.items())
