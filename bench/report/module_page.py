"""The page of a user's own network: what fits, how the algorithms compare, and what was counted. One file that loads nothing.

Its calculator is that of plots/index.html (webpage.py), with the formulas of bench/lift/cost/formulas.py.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UserError
from bench.lift.cost.table import understood
from bench.quantity import size
from bench.registry import ALGORITHMS, Colour
from bench.report import webpage
from bench.report.pages import template

if TYPE_CHECKING:
    from bench.lift.cost.compare import Compared, Row
    from bench.lift.cost.formulas import CostFormula

MOST = 0.1  # error of a formula that is shown
_AS_WRITTEN = Colour("#3d444d", "#c9d1d9")


@dataclass(frozen=True)
class Asked:
    """What the user has asked for. ``is_made``: the source names a function that makes the network, not the network itself."""

    source: str  # MODEL.PY:NETWORK
    is_made: bool
    frame: tuple[int, ...]
    encoding: str
    optimizer: str
    precision: str
    budget: float | None  # bytes


def page(asked: Asked, found: Compared, costs: Sequence[CostFormula | str], note: str = "") -> str:
    """Return the page; ``costs``: of each row of the comparison, or why there is no formula."""
    rows = [_Shown(row, cost) for row, cost in zip(found.rows, costs, strict=True)]
    start = {"network": asked.source, "T": found.T, "batch": max(found.batch, 2), "GiB": (asked.budget or 8 * 2**30) / 2**30}
    known = {
        **webpage.calculator(start, 2, "module", _lines(asked)),
        "formulas": [row.formula(asked.source) for row in rows if not row.without],
        "cosines": {row.row.algorithm: [{"cosine": row.row.cosine}] for row in rows if isinstance(row.row.cosine, float)},
    }
    return template(
        "module.html.j2",
        asked=asked,
        found=found,
        rows=rows,
        understood=[*understood(found.recognised), *([("built", note)] if note else [])],
        longest=max((check.T for cost in costs if not isinstance(cost, str) for check in cost.checks), default=0),
        data=webpage.embedded(known),
        scripts=webpage.scripts(*webpage.FIT),
    )


@dataclass(frozen=True)
class _Shown:
    """A row of the comparison on the page."""

    row: Row
    cost: CostFormula | str

    @property
    def title(self) -> str:
        known = ALGORITHMS.get(self.row.algorithm)
        return webpage.titled(known.title if known else self.row.algorithm, self.options)

    @property
    def options(self) -> str:
        values = {name: " + ".join(map(str, of)) if isinstance(of, list) else of for name, of in self.row.options.items()}
        return ", ".join(f"{name} = {value}" for name, value in values.items())

    @property
    def peak(self) -> str:
        return "" if self.row.cost is None else size(self.row.cost.memory.total)

    @property
    def macs(self) -> str:
        return "" if self.row.cost is None else f"{self.row.macs:.3g}"

    @property
    def gradient(self) -> str:
        if self.row.exact:
            return "exact"
        return f"approximate, cosine {self.row.cosine:.2g}" if isinstance(self.row.cosine, float) else "approximate"

    @property
    def error(self) -> float:
        """Of the formula, as the page states it: 2 %, or half as much again as it was off at the settings that were checked."""
        assert not isinstance(self.cost, str)
        off = self.cost.worst.error
        return webpage.ERROR if off <= webpage.ERROR else ceil(150 * off) / 100

    @property
    def without(self) -> str:
        """Why the calculator does not know it; empty if it does."""
        if isinstance(self.cost, str):
            return self.cost
        worst = self.cost.worst
        if self.error <= MOST:
            return ""
        return f"its formula is off by {100 * worst.error:.0f} % at T = {worst.T}, batch {worst.batch}"

    def formula(self, network: str) -> dict[str, object]:
        """Return what the calculator reads."""
        assert not isinstance(self.cost, str)
        known = ALGORITHMS.get(self.row.algorithm)
        colour = known.colour if known else _AS_WRITTEN
        shown = {
            "network": network, "algorithm": self.row.algorithm, "backend": "module", "options": dict(self.row.options),
            "title": self.title, "backendTitle": "", "colour": [colour.light, colour.dark], "exact": self.row.exact,
            "error": self.error, "least": self.cost.least,
        }  # fmt: skip
        counted = {T: [list(line) for line in peak.lines] for T, peak in self.cost.counted.items()}
        return {**shown, "counted": counted, **self.cost.memory.as_dict(), **self.cost.amounts.as_dict()}


def _lines(asked: Asked) -> Mapping[str, Sequence[str]]:
    """Return what can be copied, as in ``webpage.LINES``."""
    where, _, name = asked.source.rpartition(":")
    is_file = where.endswith(".py")
    folder = Path(where).parent
    note = f"  # a file in {folder}" if is_file and folder != Path() else ""
    frame = ",".join(map(str, asked.frame))
    options = {"encoding": asked.encoding, "optimizer": asked.optimizer, "precision": asked.precision}
    usual = {"encoding": "repeat", "optimizer": "sgd", "precision": "float32"}
    changed = {option: value for option, value in options.items() if value != usual[option]}
    flags = "".join(f" --{option} {value}" for option, value in changed.items())
    setting = f"{shlex.quote(asked.source)} --input {frame} --T {{T}} --batch {{batch}}{flags}"
    keywords = "".join(f", {option}={None if value == 'none' else json.dumps(value)}" for option, value in changed.items())
    called = f"net, {asked.frame}, T={{T}}, batch={{batch}}{keywords}"
    start = (
        "import spikecost",
        f"from {Path(where).stem if is_file else where} import {name}{note}",
        "",
        f"net = {name}()" if asked.is_made else f"net = {name}",
    )
    by_algorithm = (
        *start,
        'step = spikecost.training_step(net, "{algorithm}"{options})',
        f'found = spikecost.compare({called}, algorithms=["{{algorithm}}"]{{given}}, cosine="none")',
        'print(f"{found.rows[-1].cost.memory.total / 2**30:.3g} GiB")',
    )
    counted = (f"spikecost compare {setting} --budget {{GiB}} --algorithm {{algorithm}} --no-cosine", "", *by_algorithm)
    fitted = (f"spikecost fit {setting} --budget {{GiB}}  # recomputes layers too", "", *by_algorithm)
    as_written = (
        f"spikecost measure {setting}", "", *start,
        f"found = spikecost.measure({called})",
        'print(f"{found.cost.memory.total / 2**30:.3g} GiB")',
    )  # fmt: skip
    # fit counts in single precision
    return {"algorithm": counted, "schedule": by_algorithm if asked.precision != "float32" else fitted, "as written": as_written}


def require_writable(path: Path) -> None:
    """Raise UserError, before anything is counted, unless a page can be written there."""
    if path.is_dir():
        raise UserError(f"--html {path} is a folder: name a file in it, as {path / 'mine.html'}")
    if path.suffix.lower() != ".html":
        raise UserError(
            f"--html {path}: name a file that ends in .html, as {path.with_suffix('.html') if path.name else 'mine.html'}"
        )
    folder = path.parent
    if not folder.is_dir():
        raise UserError(f"--html {path}: there is no folder {folder}; make it, or name another one")
    draft = folder / f".{path.name}.draft"
    try:
        draft.touch()
        draft.unlink()
    except OSError as error:
        raise UserError(f"--html {path} cannot be written: {error.strerror}; name a file in another folder") from error
