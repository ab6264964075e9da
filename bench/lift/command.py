"""The commands ``spikecost measure`` and ``spikecost compare``. They import torch only when they run."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console, RenderableType

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


_source = click.argument("source", metavar="MODEL.PY:NETWORK")
_frame = click.option("--input", "frame", metavar="SHAPE", required=True, help="one time step of one sample, as 3,224,224")
_steps = click.option("--T", "T", type=click.IntRange(min=1), required=True, help="time steps")
_batch = click.option("--batch", type=click.IntRange(min=1), required=True)
_encoding = click.option(
    "--encoding", default="repeat", show_default=True, help="repeat: one image, repeated over time; frames: T frames"
)
_optimizer = click.option(
    "--optimizer", default="sgd", show_default=True, help="sgd, adam, adamw, adamax, rmsprop, or none: gradients alone"
)
_json = click.option("--json", "as_json", is_flag=True, help="print everything as JSON")


@click.command()
@_source
@_frame
@_steps
@_batch
@_encoding
@_optimizer
@click.option("--precision", default="float32", show_default=True, help="float32, or bfloat16 or float16: mixed precision")
@click.option("--device", help="meta or fake: without storage; cpu: real tensors [default: meta, fake for mixed precision]")
@_json
def measure(source: str, frame: str, as_json: bool, **settings: object) -> None:
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
        found = measured(built.net, sizes, **_named(settings))
    _print(found.as_dict(), shown(found, built.note), built.note, as_json)


@click.command()
@_source
@_frame
@_steps
@_batch
@_encoding
@_optimizer
@click.option("--budget", "GiB", type=float, help="the card's memory, in GiB: say what fits")
@_json
def compare(source: str, frame: str, as_json: bool, GiB: float | None, **settings: object) -> None:
    """Count a training step of your own network by each algorithm that applies to it, and say why the others do not.

    MODEL.PY:NETWORK as for measure.
    """
    sizes = shape(frame)
    with Console(stderr=True).status("building and counting ..."):  # shown on a terminal only
        from bench.lift.compare import compare as compared
        from bench.lift.source import build, load
        from bench.lift.table import compared as shown

        built = build(load(source))
        found = compared(built.net, sizes, budget=None if GiB is None else GiB * 2**30, **_named(settings))
    _print(found.as_dict(), shown(found, built.note), built.note, as_json)


def _named(settings: dict[str, Any]) -> dict[str, Any]:
    return settings | {"optimizer": None if settings["optimizer"] == "none" else settings["optimizer"]}


def _print(found: dict[str, object], shown: RenderableType, note: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found | ({"built": note} if note else {}), indent=2))
    else:
        Console(highlight=False).print(shown)
