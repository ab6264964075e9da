"""The commands ``spikecost measure`` and ``spikecost compare``. They import torch only when they run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click
from rich.console import Console, RenderableType

from bench.case import Settings
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.lift.cost.compare import Compared
    from bench.lift.recognition.source import Built
    from bench.report.module_page import Asked


def shape(text: str) -> tuple[int, ...]:
    """3,224,224 -> (3, 224, 224). Raises UserError for anything else."""
    try:
        sizes = tuple(int(part) for part in text.replace("x", ",").split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise UserError(f"--input {text!r}: give the shape of one time step of one sample, as 3,224,224")
    return sizes


def memory(text: str) -> float:
    """8GiB, 8 GB, 500MiB -> bytes; a number alone is in GiB. Raises UserError for anything else.

    >>> memory("8"), memory("0.5 GiB"), memory("8GB")
    (8589934592.0, 536870912.0, 8000000000.0)
    """
    found = re.fullmatch(r"\s*(.*?)\s*(gib|mib|kib|gb|mb|)\s*", text, re.IGNORECASE)
    assert found is not None
    try:
        return float(found[1]) * {"": 2**30, "gib": 2**30, "mib": 2**20, "kib": 2**10, "gb": 1e9, "mb": 1e6}[found[2].lower()]
    except ValueError:
        raise UserError(f"--budget {text!r}: give the card's memory as 8GiB, 500MiB or 8GB; a number alone is in GiB") from None


def pair(text: str) -> tuple[int, int]:
    """16,8 -> (16, 8). Raises UserError for anything else."""
    parts = text.split(",")
    if len(parts) != 2 or not all(part.strip().isdigit() and int(part) >= 1 for part in parts):
        raise UserError(f"--cosine-at {text!r}: give T and batch, as 16,8")
    return int(parts[0]), int(parts[1])


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
_precision = click.option(
    "--precision", default="float32", show_default=True, help="float32, or bfloat16 or float16: mixed precision"
)
_json = click.option("--json", "as_json", is_flag=True, help="print everything as JSON")


@click.command()
@_source
@_frame
@_steps
@_batch
@_encoding
@_optimizer
@_precision
@click.option("--device", help="meta or fake: without storage; cpu: real tensors [default: meta, fake for mixed precision]")
@_json
def measure(source: str, frame: str, as_json: bool, **settings: object) -> None:
    """Count what one training step of your own network costs, without weights, data or a GPU.

    MODEL.PY:NETWORK names a file (or a package) and a function or class in it that makes the network without arguments: a
    torch.nn.Module of SpikingJelly's or snnTorch's neurons, or with forward(x, state).
    """
    sizes = shape(frame)
    with Console(stderr=True).status("building and counting ..."):  # shown on a terminal only
        from bench.lift.cost.measure import measure as measured
        from bench.lift.cost.table import shown
        from bench.lift.recognition.source import build, load

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
@_precision
@click.option("--budget", metavar="SIZE", help="the card's memory, as 8GiB (also 8): say what fits, and the largest batch and T")
@click.option("--algorithm", "algorithms", multiple=True, metavar="NAME", help="only this one; may be repeated [default: all]")
@click.option("--cosine-at", metavar="T,BATCH", help="size for the cosines [default: what runs in 60 s and 8 GiB]")
@click.option("--no-cosine", is_flag=True, help="compare no gradients: nothing is computed on tensors with storage")
@click.option(
    "--html",
    "html",
    metavar="MINE.HTML",
    type=click.Path(path_type=Path),
    help="also write a page that answers for other T, batches and cards; it takes some times as long",
)
@_json
def compare(
    source: str,
    frame: str,
    as_json: bool,
    budget: str | None,
    algorithms: tuple[str, ...],
    cosine_at: str | None,
    no_cosine: bool,
    html: Path | None,
    **settings: object,
) -> None:
    """Count a training step of your own network by each algorithm that applies to it, and say why the others do not.

    MODEL.PY:NETWORK as for measure. Gradients that are not exact are compared with BPTT's on random samples.
    """
    sizes, card = shape(frame), None if budget is None else memory(budget)
    cosine: Literal["none", "reduced"] | tuple[int, int] = "none" if no_cosine else "reduced"
    if cosine_at is not None:
        if no_cosine:
            raise UserError(f"--cosine-at {cosine_at} beside --no-cosine: give one of them")
        cosine = pair(cosine_at)
    if html is not None:
        from bench.report.module_page import require_writable

        require_writable(html)
    named = _named(settings)
    with Console(stderr=True).status("building and counting ..."):  # shown on a terminal only
        from bench.lift.cost.compare import compare as compared
        from bench.lift.cost.table import compared as shown
        from bench.lift.recognition.source import build, build_with_values, load

        make = load(source)
        built = build(make) if no_cosine else build_with_values(make, source.rpartition("/")[2])
        found = compared(built.net, sizes, budget=card, cosine=cosine, algorithms=algorithms or None, **named)
    if html is not None:
        from bench.report.module_page import Asked

        is_made = make.__module__ != load.__module__  # where what is a network already is wrapped
        words = {"encoding": named["encoding"], "optimizer": named["optimizer"] or "none", "precision": named["precision"]}
        with Console(stderr=True).status("counting formulas for the page ..."):
            _write_page(html, Asked(source, is_made, sizes, budget=card, **words), built, found, named)
    _print(found.as_dict(), shown(found, built.note), built.note, as_json)


def _write_page(path: Path, asked: Asked, built: Built, found: Compared, settings: Settings) -> None:
    from bench.files import write_whole
    from bench.lift.cost.counts import Setting
    from bench.lift.cost.formulas import formulas
    from bench.report.module_page import page

    setting = Setting(module=built.net, frame=asked.frame, **settings)
    write_whole(path, page(asked, found, formulas(setting, found.rows), built.note).encode())
    click.echo(f"{path}: open it in a browser", err=True)


def _named(settings: Settings) -> Settings:
    return settings | {"optimizer": None if settings["optimizer"] == "none" else settings["optimizer"]}


def _print(found: dict[str, object], shown: RenderableType, note: str, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(found | ({"built": note} if note else {}), indent=2))
    else:
        Console(highlight=False).print(shown)
