"""``fit``: the cheapest exact training step on a card of a given memory."""

from __future__ import annotations

import click

from bench import zoo
from bench.commands.printing import bold
from bench.errors import choose
from bench.overhead import HEADROOM, usable
from bench.registry import ALGORITHMS


@click.command()
@click.argument("network")
@click.option("--T", "T", type=click.IntRange(min=1), required=True, help="time steps")
@click.option("--batch", type=click.IntRange(min=1), required=True)
@click.option("--budget", "GiB", type=float, required=True, help="the card's memory, in GiB")
@click.option(
    "--headroom",
    type=float,
    default=HEADROOM / 2**30,
    show_default=True,
    help="GiB of the budget reserved for CUDA's context and workspaces",
)
def fit(network: str, T: int, batch: int, GiB: float, headroom: float) -> None:
    """Find the cheapest exact training step of NETWORK that fits a card's memory. Needs no GPU and no data."""
    choose("network", network, zoo.names())
    live = usable(GiB * 2**30, headroom * 2**30)
    from bench.planning.schedules import cheapest

    click.echo(f"counting training steps of {network} on tensors without storage: seconds, or a minute ...", err=True)
    plan = cheapest(network, T, batch, GiB * 2**30, headroom * 2**30)
    algorithm, options = plan.schedule.algorithm, plan.schedule.options
    settings = "".join(f", {name}={value!r}" for name, value in options.items())
    click.echo(bold(ALGORITHMS[algorithm].title) + settings)
    allowed = f"{live / 2**30:g} GiB allowed: {GiB:g} GiB less a headroom of {headroom:g}"
    click.echo(f"  peak     {plan.peak / 2**30:.3f} GiB of live tensors, counted; {allowed}")
    recomputed = f"{plan.schedule.recomputed} of {T} steps are recomputed"
    click.echo(f"  forward  {recomputed}: {plan.macs_ratio:.3f} times BPTT's multiply-accumulates")
    click.echo(f'  Python   spikecost.training_step("{network}", "{algorithm}", "native"{settings})')
