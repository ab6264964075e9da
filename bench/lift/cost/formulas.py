"""Memory, MACs and traffic of a user's module as formulas in T and the batch, by every algorithm that applies to it.

As for the networks of the catalogue (bench/planning/formulas.py): exact in the batch, joined by straight lines in T, and held
against counts that no coefficient was made of. Two algorithms have formulas of their own here:

    replay    P(T): how many steps a user's neurons can be run back is not known
    skipper   from the pieces M and G of checkpointing, for segments as long as the steps that are kept, and F bytes per sample
              for a copy of each kept frame:  P1 = S + G + K * F,  P2 = M + K * F,  P3 = S + M + K * F. F is counted in one
              segment. By itself it would take long sequences: a segment keeps at least as many steps as there are layers
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import cast

from bench.errors import UserError
from bench.lift.cost.compare import MEMOPT, Row
from bench.lift.cost.counts import Setting
from bench.lift.cost.every_batch import Known, OfEveryBatch
from bench.lift.cost.limits import far
from bench.planning import coefficients
from bench.planning.coefficients import OfCatalogue
from bench.planning.formulas import Amounts, Formula, Peak, Pieces, Sizes
from bench.seeds import seed_of

STEPS = (1, 2, 4, 8, 16)  # numbers of time steps that are counted
FEW = (1, 2, 4, 8)  # where memory does not grow with T, but for the input
SHORT = (2, 3, 4, 5, 6, 8)  # beside the T of the comparison: counted as they are, where the algorithm chooses segments
CHECKS = 3
LARGEST = 512  # batch of a check


@dataclass(frozen=True)
class Check:
    """Bytes at a setting that no coefficient was made of."""

    T: int
    batch: int
    counted: int
    by_formula: int

    @property
    def error(self) -> float:
        return abs(self.by_formula / self.counted - 1)


@dataclass(frozen=True)
class CostFormula:
    """What a training step of the module costs, for any batch from 2 and any T from ``least`` on."""

    memory: Formula
    counted: Mapping[int, Peak]  # at these T, for every batch: no formula joins them
    amounts: Amounts
    least: int
    checks: tuple[Check, ...]

    @property
    def worst(self) -> Check:
        return max(self.checks, key=lambda check: check.error)


def formulas(setting: Setting, rows: Sequence[Row]) -> list[CostFormula | str]:
    """Return the formula of each row of a comparison with ``setting``, or why there is none."""
    known: Known = {}
    return [_or_why_not(setting, row, known) for row in rows]


def _or_why_not(setting: Setting, row: Row, known: Known) -> CostFormula | str:
    if row.algorithm == MEMOPT:
        return row.reason or "SpikingJelly's optimiser chooses anew at every setting what it recomputes"
    with setting.subject() as it:
        if it.recognised.own_steps is not None:
            return f"it repeats an image by {it.recognised.own_steps} time steps of its own, so that T is not free"
        counting = OfEveryBatch(it, row.algorithm, setting.precision, row.options, known)
        try:
            found = _formula(counting)
            least = _least(counting, found)
            longest = max(far(setting.module), least + 2 * CHECKS)
            exactly = {} if found.kind == "plain" else {T: counting.peak(T) for T in sorted({*SHORT, setting.T}) if least <= T}
            checks = tuple(_checks(counting, found, [T for T in range(least, longest + 1) if T not in exactly], row.algorithm))
            # It reads what OfEveryBatch has too: algorithm, options, sizes and cost.
            amounts = coefficients.amounts(cast(OfCatalogue, counting))
            return CostFormula(found, exactly, amounts, least, checks)
        except UserError as error:
            return str(error)


def _formula(counting: OfEveryBatch) -> Formula:
    match counting.algorithm:
        case "skipper":
            return _skipper(counting)
        case "replay":
            return Formula("plain", {"P": tuple((T, counting.peak(T)) for T in STEPS if counting.suits(T))})
    return coefficients.formula(counting, FEW if counting.algorithm == "checkpointed" else STEPS, FEW)


def _skipper(counting: OfEveryBatch) -> Formula:
    sizes = replace(counting.sizes, kept=1 - cast(float, counting.options.as_dict()["p"]) / 100)
    segments = coefficients.formula(counting.by("checkpointed"), FEW)
    state, frame = sizes.state, _copied_frame(counting, segments, sizes)
    pieces: dict[str, Pieces] = {"P1": (), "P2": (), "P3": ()}
    for (K, M), (_, G) in zip(segments.pieces["M"], segments.pieces["G"], strict=True):
        for name, peak, more in (("P1", G, state), ("P2", M, 0.0), ("P3", M, state)):
            pieces[name] += ((K, peak.less(-more - K * frame)),)
    return Formula("skipper", pieces, sizes)


def _copied_frame(counting: OfEveryBatch, segments: Formula, sizes: Sizes) -> float:
    """Return the bytes per sample by which a kept step of one segment takes more than a step of checkpointing."""
    K = max(sizes.layers, 2)
    T = ceil(K / sizes.kept)
    counted = counting.peak(T, segments=1)
    more = (counted(LARGEST) - segments.at("G", K, LARGEST)) / LARGEST - T * sizes.input - sizes.state
    return max(more / K, 0.0)


def _least(counting: OfEveryBatch, found: Formula) -> int:
    """Return the shortest sequence that the options suit."""
    of_skipper = ceil(found.sizes.layers / found.sizes.kept) if found.kind == "skipper" and found.sizes.kept < 1 else 1
    return max(of_skipper, *(getattr(counting.options, name, 1) for name in ("K", "k")))


def _checks(counting: OfEveryBatch, found: Formula, lengths: Sequence[int], name: str) -> Iterator[Check]:
    """Yield counts at settings drawn from the name of the algorithm, and what the formula gives there."""
    used = {T for piece in found.pieces.values() for T, _ in piece} if found.kind == "plain" else set()
    draw = random.Random(seed_of("checks of a formula", name))
    for T in draw.sample([T for T in lengths if T not in used], CHECKS):
        batch = draw.randint(2, LARGEST)
        parts = coefficients.lengths(found, counting.options, T)
        yield Check(T, batch, counting.cost(T, batch).memory.total, round(found.peak(parts, batch)))
