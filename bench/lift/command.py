"""The command ``spikecost measure``. Imports torch only when it runs."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console

from bench.errors import UserError


def shape(text: str) -> tuple[int, ...]:
    """3,224,224 -> (3, 224, 224). Raises UserError for anything else."""
    try:
        sizes = tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise UserError(f"--input {text!r}: give the shape of one time step of one sample, as 3,224,224")
    return sizes


@click.command()
@click.argument("source", metavar="MODEL.PY:NETWORK")
@click.option("--input", "frame", metavar="SHAPE", required=True, help="one time step of one sample, as 3,224,224")
@click.option("--T", "T", type=click.IntRange(min=1), required=True, help="time steps")
@click.option("--batch", type=click.IntRange(min=1), required=True)
@click.option("--encoding", default="repeat", show_default=True, help="repeat: one image, repeated over time; frames: T frames")
@click.option("--precision", default="float32", show_default=True, help="float32, or bfloat16 or float16: mixed precision")
@click.option("--optimizer", default="sgd", show_default=True, help="sgd, adam, adamw, adamax, rmsprop, or none")
@click.option("--device", help="meta or fake: without storage; cpu: real tensors [default: meta, fake for mixed precision]")
@click.option("--json", "as_json", is_flag=True, help="print everything as JSON")
def measure(source: str, frame: str, T: int, batch: int, as_json: bool, **settings: Any) -> None:
    """Count what one training step of your own network costs, without weights, data or a GPU.

    MODEL.PY:NETWORK names a file (or a package) and a function or class in it that makes the network without arguments: a
    torch.nn.Module of SpikingJelly's or snnTorch's neurons, or with forward(x, state).
    """
    sizes = shape(frame)
    with Console(stderr=True).status("building and counting ..."):  # shown on a terminal only
        from bench.lift.measure import measure as measured
        from bench.lift.source import build, load
        from bench.lift.table import shown

        built = build(load(source))
        optimizer = None if settings["optimizer"] == "none" else settings["optimizer"]
        found = measured(built.net, sizes, T=T, batch=batch, **(settings | {"optimizer": optimizer}))
    if as_json:
        click.echo(json.dumps(found.as_dict() | ({"built": built.note} if built.note else {}), indent=2))
        return
    Console(highlight=False).print(shown(found, built.note))
