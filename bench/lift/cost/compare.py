"""What one training step of a user's network costs by each algorithm of this suite, counted without storage.

The first row is the module as written; the others run it with explicit state (bench/lift/running/stepped.py), and the two can
differ in bytes. Every lifted row has the same loss, a mean over time steps, as an algorithm that cuts a sequence needs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from torch import nn

from bench.counting.any_step import Cost
from bench.errors import UserError, choose
from bench.lift.cost import peaks
from bench.lift.cost.cosine import Cosines, cosines
from bench.lift.cost.counts import AsWritten, ByAlgorithm, Counts, Setting
from bench.lift.cost.limits import Limits, Question, far
from bench.lift.cost.measure import Precision, checked, measure
from bench.lift.cost.subject import Optimizer
from bench.lift.recognition.parts import OptionValues
from bench.lift.recognition.recognise import Recognised
from bench.lift.recognition.timing import Encoding
from bench.lift.running.training import LIFTED
from bench.overhead import HEADROOM, usable
from bench.registry import ALGORITHMS

AS_WRITTEN = "as written"
MEMOPT = "spikingjelly memopt"  # the framework's own memory optimiser
ROWS = (*LIFTED, MEMOPT)
Size = tuple[int, int]  # T and batch


@dataclass(frozen=True)
class Row:
    """An algorithm: its cost, or the reason why it does not apply; ``exact``: whether its gradient is that of BPTT.

    ``limits``: the largest batch and T that fit the budget, or why that is not known. ``cosine`` of its gradient to BPTT's, or
    why there is none; None if it was not asked for, or is 1 but for rounding. ``seconds`` of the CPU that counting its cost took.
    """

    algorithm: str
    options: Mapping[str, object]
    exact: bool
    cost: Cost | None
    reason: str = ""
    limits: Limits | str | None = None
    cosine: float | str | None = None
    seconds: float = 0.0

    @property
    def macs(self) -> int:
        return 0 if self.cost is None else sum(self.cost.macs.dense.values())

    def as_dict(self) -> dict[str, object]:
        found = {"algorithm": self.algorithm, "options": dict(self.options), "exact": self.exact}
        if self.cost is None:
            return found | {"reason": self.reason}
        counted = {"peak": self.cost.memory.total, "macs": self.macs, "memory": self.cost.memory.by_category}
        limits = self.limits.as_dict() if isinstance(self.limits, Limits) else self.limits
        return found | counted | {"largest": limits, "cosine": self.cosine}


@dataclass(frozen=True)
class Compared:
    """The rows; ``allowed``: bytes that live tensors may take, if there is a budget.

    ``cosine_at``: T and batch of the cosines, or why there are none; None if they were not asked for.
    """

    rows: tuple[Row, ...]
    recognised: Recognised
    T: int
    batch: int
    precision: Precision
    allowed: float | None
    cosine_at: Size | str | None

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
        at = list(self.cosine_at) if isinstance(self.cosine_at, tuple) else self.cosine_at
        found = {"T": self.T, "batch": self.batch, "precision": self.precision, "allowed": self.allowed, "cosine at": at}
        return found | {"rows": rows, "recognised": self.recognised.as_dict()}


@dataclass(frozen=True)
class _Comparison:
    setting: Setting
    allowed: float | None
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    def as_written(self, cost: Cost, seconds: float) -> Row:
        """Return the row of the module as written, whose cost is known."""
        row = Row(AS_WRITTEN, {}, True, cost, seconds=seconds)
        if self.allowed is None:
            return row
        with self.setting.subject() as it:
            counts = AsWritten(it, self.setting.precision)
            free = it.recognised.own_steps is None
            return replace(row, limits=self._limits(counts, partial(peaks.as_written, counts) if free else None, {}))

    def by_algorithm(self, algorithm: str) -> Row:
        options, exact = dict(self.options.get(algorithm, _usual(algorithm, self.setting.T))), ALGORITHMS[algorithm].exact
        began = time.process_time()
        try:
            with self.setting.subject() as it:
                counts = ByAlgorithm(it, algorithm, self.setting.precision)
                cost = counts.cost(self.setting.T, self.setting.batch, **options)
                row = Row(algorithm, options, exact, cost, seconds=time.process_time() - began)
                formula = partial(peaks.by_algorithm, counts, options=options)
                return row if self.allowed is None else replace(row, limits=self._limits(counts, formula, options))
        except UserError as error:
            return Row(algorithm, options, exact, None, str(error))

    def _limits(self, counts: Counts, formula: Callable[..., peaks.OfT] | None, options: OptionValues) -> Limits | str:
        """``formula(batch)`` gives the peak as a function of T; None if T is not free."""
        assert self.allowed is not None

        def peak(T: int, batch: int) -> int:
            return counts.cost(T, batch, **options).memory.total

        it = self.setting
        question = Question(peak, it.T, it.batch, self.allowed, far(it.module))
        try:
            T = None if formula is None else question.largest_T(formula(batch=it.batch), max(peaks.SHORT))
            return Limits(question.largest_batch(), T)
        except UserError as error:
            return str(error)

    def by_the_frameworks_optimiser(self) -> Row:
        """Return the row of SpikingJelly's memory optimiser at level 1, with the choice of layers that needs the least memory.

        Its higher levels search on a GPU; ``optimised`` (bench/lift/cost/spikingjelly_memopt.py) emulates them.
        """
        it, began = self.setting, time.process_time()
        try:
            if "spikingjelly" not in sys.modules:
                raise UserError("the module has no layers of SpikingJelly, which its optimiser needs")
            if it.precision != "float32":
                raise UserError(f"it is counted in float32 only, and precision is {it.precision}")
            from bench.lift.cost.spikingjelly_memopt import optimised

            found = optimised(
                it.module, it.frame, T=it.T, batch=it.batch, encoding=it.encoding, optimizer=it.optimizer, levels=(1,)
            )
            best = min(found, key=lambda each: (each.peak, each.macs))
        except UserError as error:
            return Row(MEMOPT, {}, True, None, str(error))
        return Row(MEMOPT, best.options, True, best.cost, seconds=time.process_time() - began)

    def cosines(self, rows: Sequence[Row], output: Sequence[int], size: Size | None) -> Cosines:
        asked = {row.algorithm: row.options for row in rows if row.cost is not None and not row.exact}
        if not asked:
            raise UserError("no algorithm with an approximate gradient applies")
        with replace(self.setting, precision="float32").subject() as it:
            counts = ByAlgorithm(it, "bptt", "float32")
            return cosines(self.setting, output, lambda T, batch: counts.cost(T, batch).memory.total, asked, size)


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
    precision: Precision = "float32",
    cosine: Literal["reduced", "none"] | Size = "reduced",
    algorithms: Sequence[str] | None = None,
    options: Mapping[str, OptionValues] | None = None,
) -> Compared:
    """Count one training step of ``module`` as written and by ``algorithms`` (default: every one, and SpikingJelly's optimiser).

    ``budget``: bytes of a card, less ``headroom`` for what live tensors do not account for; with it, rows say whether they fit
    and the largest batch and T that do. ``cosine`` to BPTT's gradient (bench/lift/cost/cosine.py): at the largest size that runs
    in 60 s and 8 GiB, at (T, batch), or "none". ``options``: those of algorithms, by name. Other arguments are those of
    ``measure``. Raises UserError if the module cannot be measured as written.
    """
    frame = checked(module, x_shape, T, batch, encoding, precision)
    size, asked = _size(cosine), ROWS if algorithms is None else tuple(algorithms)
    for name in asked:
        choose("algorithm", name, ROWS)
    for name in options or {}:
        choose("algorithm", name, LIFTED)
    allowed = None if budget is None else usable(budget, headroom)
    began = time.process_time()
    written = measure(module, frame, T=T, batch=batch, encoding=encoding, optimizer=optimizer, precision=precision)
    seconds = time.process_time() - began
    by = _Comparison(Setting(module, frame, T, batch, encoding, optimizer, precision), allowed, options or {})
    others = (by.by_the_frameworks_optimiser() if name == MEMOPT else by.by_algorithm(name) for name in asked)
    rows = [by.as_written(written.cost, seconds), *others]
    at: Size | str | None = None
    if size != "none":
        try:
            found = by.cosines(rows, written.recognised.output, size)
            rows = [replace(row, cosine=found.by_algorithm.get(row.algorithm)) for row in rows]
            at = (found.T, found.batch)
        except UserError as error:
            at = str(error)
    return Compared(tuple(rows), written.recognised, T, batch, precision, allowed, at)


def _size(cosine: object) -> Size | Literal["none"] | None:
    """Return the size at which cosines are measured; None: what a limit of time and memory allows."""
    match cosine:
        case "reduced":
            return None
        case "none":
            return "none"
        case (int(T), int(batch)) if T >= 1 and batch >= 1:
            return T, batch
    raise UserError(f"cosine = {cosine!r}: use 'reduced', 'none', or (T, batch) as whole numbers >= 1")


def _usual(algorithm: str, T: int) -> dict[str, int]:
    """Return options that suit T time steps: the defaults of the algorithms, but not more steps than there are."""
    most = min(2, T)
    return {"tbptt": {"K": most}, "ttl-bptt": {"K": most}, "sltt-k": {"k": most}}.get(algorithm, {})
