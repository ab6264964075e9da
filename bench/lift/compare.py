"""What one training step of a user's network costs by each algorithm of this suite, counted without storage.

The first row is the module as written; the others run it with explicit state (bench/lift/stepped.py), and the two can differ in
bytes. Every lifted row has the same loss, a mean over time steps, as an algorithm that cuts a sequence needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from bench.counting.any_step import Cost
from bench.errors import UserError
from bench.lift.measure import checked, measure
from bench.lift.recognise import Recognised
from bench.lift.subject import Optimizer, subject
from bench.lift.timing import Encoding
from bench.lift.training import LIFTED, LiftedStep, training_step
from bench.lift.twin import Meta
from bench.overhead import HEADROOM, usable
from bench.registry import ALGORITHMS

AS_WRITTEN = "as written"


@dataclass(frozen=True)
class Row:
    """An algorithm: its cost, or the reason why it does not apply; ``exact``: whether its gradient is that of BPTT."""

    algorithm: str
    options: Mapping[str, object]
    exact: bool
    cost: Cost | None
    reason: str = ""

    @property
    def macs(self) -> int:
        return 0 if self.cost is None else sum(self.cost.macs.dense.values())

    def as_dict(self) -> dict[str, object]:
        found = {"algorithm": self.algorithm, "options": dict(self.options), "exact": self.exact}
        if self.cost is None:
            return found | {"reason": self.reason}
        return found | {"peak": self.cost.memory.total, "macs": self.macs, "memory": self.cost.memory.by_category}


@dataclass(frozen=True)
class Compared:
    """The rows; ``allowed``: bytes that live tensors may take, if there is a budget."""

    rows: tuple[Row, ...]
    recognised: Recognised
    T: int
    batch: int
    allowed: float | None

    def fits(self, row: Row) -> bool | None:
        """Whether a row fits; None if there is no budget or no cost."""
        return None if self.allowed is None or row.cost is None else row.cost.memory.total <= self.allowed

    def cheapest_exact(self) -> Row | None:
        """Return the lifted or written row with the fewest MACs that is exact and fits."""
        able = [row for row in self.rows if row.exact and row.cost is not None and self.fits(row) is not False]
        return min(able, key=lambda row: (row.macs, row.cost.memory.total if row.cost else 0), default=None)

    def as_dict(self) -> dict[str, object]:
        """Everything, in types that JSON has."""
        rows = [row.as_dict() | {"fits": self.fits(row)} for row in self.rows]
        found = {"T": self.T, "batch": self.batch, "allowed": self.allowed, "rows": rows}
        return found | {"recognised": self.recognised.as_dict()}


@dataclass(frozen=True)
class _Counted:
    module: nn.Module
    frame: Sequence[int]
    T: int
    batch: int
    encoding: Encoding
    optimizer: Optimizer
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def row(self, algorithm: str) -> Row:
        options, exact = dict(self.options.get(algorithm, _usual(algorithm, self.T))), ALGORITHMS[algorithm].exact
        try:
            return Row(algorithm, options, exact, self._cost(algorithm, options))
        except UserError as error:
            return Row(algorithm, options, exact, None, str(error))

    def _cost(self, algorithm: str, options: Mapping[str, Any]) -> Cost:
        with subject(self.module, self.optimizer, Meta(), self.frame, self.T, self.batch, self.encoding) as it:
            x = it.x.expand(self.T, *it.x.shape) if self.encoding == "repeat" else it.x
            step: LiftedStep = training_step(it.net, algorithm, optimizer=it.optimizer, **options)
            step.share = "mean"  # known of the usual loss; it cannot be tried without values
            net = step.lifted(x)
            return it.count(lambda watcher: step(x, it.target, watcher), [(net, net.carried)], net.spiking(), step.update)


def compare(
    module: nn.Module,
    x_shape: Sequence[int],
    *,
    T: int,
    batch: int,
    budget: float | None = None,
    headroom: float = HEADROOM,
    encoding: Encoding = "repeat",
    optimizer: Optimizer = "sgd",
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> Compared:
    """Count one training step of ``module`` as written and by every algorithm.

    ``budget``: bytes of a card, less ``headroom`` for what live tensors do not account for. ``options``: those of algorithms, by
    name. Other arguments are those of ``measure``. Raises UserError if the module cannot be measured as written.
    """
    frame = checked(module, x_shape, T, batch, encoding, "float32")
    allowed = None if budget is None else usable(budget, headroom)
    written = measure(module, frame, T=T, batch=batch, encoding=encoding, optimizer=optimizer)
    counted = _Counted(module, frame, T, batch, encoding, optimizer, options or {})
    rows = [Row(AS_WRITTEN, {}, True, written.cost), *map(counted.row, LIFTED)]
    return Compared(tuple(rows), written.recognised, T, batch, allowed)


def _usual(algorithm: str, T: int) -> dict[str, Any]:
    """Return options that suit T time steps: the defaults of the algorithms, but not more steps than there are."""
    most = min(2, T)
    return {"tbptt": {"K": most}, "ttl-bptt": {"K": most}, "sltt-k": {"k": most}}.get(algorithm, {})
