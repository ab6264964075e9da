"""What ``spikecost list`` shows, in lines of at most 80 columns with its indentation. Only ``about`` imports torch."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench import algorithms, backends, datasets, probes
from bench.errors import Support, choose
from bench.registry import ALGORITHMS, BACKENDS, PROBES

if TYPE_CHECKING:
    from bench.options import Declared

WIDTH = 78
_DEVICES = {"meta": "shapes alone", "cpu": "CPU", "best": "GPU or CPU", "cuda": "GPU"}


def of_algorithms() -> list[str]:
    rows = [(name, a.title, "exact" if a.exact else "approximate", a.memory) for name, a in ALGORITHMS.items()]
    return _table(("name", "title", "gradient", "memory"), rows)


def of_probes() -> list[str]:
    rows = [(name, _DEVICES[probe.device], ", ".join(probe.options)) for name, probe in PROBES.items()]
    table = _table(("name", "runs on", "options"), rows)
    options = table[0].index("options")  # where this column begins
    return [part for line in table for part in textwrap.wrap(line, WIDTH, subsequent_indent=" " * options)]


def of_backends() -> list[str]:
    """Backends with their framework, or the reason why they cannot be used. Frameworks are not imported here."""
    found = {name: backends.available(name) for name in backends.names()}
    return [
        line
        for name, support in found.items()
        for line in ([f"{name}  {backends.framework(name)} {backends.version(name)}"] if support else _unusable(name, support))
    ]


def of_data_sets(root: Path | None) -> list[str]:
    found = {name: datasets.available(name, root) for name in datasets.names()}
    return [line for name, support in found.items() for line in ([name] if support else _unusable(name, support))]


def about(name: str) -> list[str]:
    """Describe an algorithm, a backend or a probe with its options. Raises UserError, with close matches, for another name."""
    from bench import optimizers
    from bench.losses import Loss

    choose("algorithm, backend or probe", name, [*ALGORITHMS, *BACKENDS, *PROBES])
    load: Callable[[str], object] = next(
        of.load for of, known in ((algorithms, ALGORITHMS), (backends, BACKENDS), (probes, PROBES)) if name in known
    )
    module = load(name)
    lines = _wrapped((module.__doc__ or "").split("\n\n")[0])
    groups: dict[str, type[Declared]] = {}
    if own := getattr(module, "Options", None):
        groups["options"] = own
    if name in ALGORITHMS:
        groups["options of the loss"] = Loss
        groups.update({f"options with optimizer = {kind}": of for kind, of in optimizers.KINDS.items()})
    for title, options in groups.items():
        lines += ["", f"{title}:", *(_options(options.meanings()) or ["  none"])]
    return lines


def _unusable(name: str, support: Support) -> list[str]:
    return _wrapped(f"{name}  - {support.reason}", further=" " * 4)


def _options(meanings: Mapping[str, str]) -> list[str]:
    width = max(map(len, meanings), default=0)
    return [line for name, meaning in meanings.items() for line in _wrapped(meaning, f"  {name:{width}}  ", " " * (width + 4))]


def _wrapped(text: str, first: str = "", further: str = "") -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=further, break_on_hyphens=False)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Left-aligned columns."""
    rows = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
