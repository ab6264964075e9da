"""The schedule of fewest multiply-accumulates within a number of bytes: which units are computed again, and in which groups.

    unit kept         its graph stays alive until its backward pass
    group of units    computed again in the backward pass; where samples do not depend on one another, in pieces of the batch,
                      and then several units may form one group, so that what is between them exists for one piece only

The search is exact for the bytes of bench/lift/fitting/units.py: states (bytes kept so far, products computed again) are extended
unit by unit, and a state is dropped if another keeps and computes no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from bench.lift.fitting.units import Taken, Unit
from bench.lift.running.layers import Recompute

MOST = 400  # states that are carried on; of more, an even choice


@dataclass(frozen=True)
class Model:
    """Bytes of a step: ``fixed`` before the first unit; ``kept``, ``again``: of units that keep their graph, or are recomputed.

    ``element``: bytes of one number of each sample of the batch; ``word``: bytes of one number.
    """

    units: Sequence[Unit]
    kept: Sequence[Taken]
    again: Sequence[Taken]
    fixed: int
    element: int
    batch: int

    @cached_property
    def weights(self) -> list[int]:
        """Bytes of gradients that exist when the backward pass of each unit has run."""
        word = self.element // self.batch
        return [word * sum(unit.weights for unit in self.units[i:]) for i in range(len(self.units))]

    def group(self, begin: int, end: int, pieces: int) -> Taken:
        """Return the bytes of a group of several units, or in pieces."""
        x, y = (self.units[begin].x if begin else 0) * self.element, self.units[end - 1].y * self.element
        inside = range(begin, end)
        graph = sum(self.kept[i].kept for i in inside)
        forward = max(self.kept[i].forward for i in inside)
        backward = max(max(self.kept[i].backward - self.kept[i].kept - self.weights[i], 0) for i in inside)
        stored = self.again[begin].kept
        return Taken(
            stored, x + y + stored + forward // pieces, x + y + stored + self.weights[begin] + (graph + backward) // pieces
        )


@dataclass(frozen=True)
class _State:
    kept: int
    macs: int
    groups: tuple[Recompute, ...] = ()


def cheapest(model: Model, live: float) -> tuple[Recompute, ...] | None:
    """Return the groups of the schedule of fewest products whose bytes are at most ``live``; None if there is none."""
    ends: list[list[_State]] = [[] for _ in range(len(model.units) + 1)]
    ends[0] = [_State(model.fixed, 0)]
    for i in range(len(model.units)):
        for state in _thinned(ends[i]):
            for end, now in _choices(model, i, state, live):
                ends[end].append(now)
    best = min(ends[-1], key=lambda state: (state.macs, len(state.groups), state.kept), default=None)
    return None if best is None else best.groups


def _choices(model: Model, i: int, state: _State, live: float) -> Iterator[tuple[int, _State]]:
    if _fits(model.kept[i], state, live):
        yield i + 1, _State(state.kept + model.kept[i].kept, state.macs, state.groups)
    unit = model.units[i]
    if _fits(model.again[i], state, live):
        group = Recompute(unit.first, unit.last)
        yield i + 1, _State(state.kept + model.again[i].kept, state.macs + unit.macs, (*state.groups, group))
    macs = 0
    for end in range(i + 1, len(model.units) + 1):
        last = model.units[end - 1]
        macs += last.macs
        if not last.alone or last.run != unit.run:
            return
        pieces = 2
        while pieces <= model.batch:
            taken = model.group(i, end, pieces)
            if _fits(taken, state, live):
                group = Recompute(unit.first, last.last, pieces)
                yield end, _State(state.kept + taken.kept, state.macs + macs, (*state.groups, group))
                break
            pieces *= 2


def _fits(taken: Taken, state: _State, live: float) -> bool:
    return state.kept + max(taken.forward, taken.backward) <= live


def _thinned(states: Sequence[_State]) -> list[_State]:
    found: list[_State] = []
    for state in sorted(states, key=lambda state: (state.kept, state.macs, len(state.groups))):
        if not found or state.macs < found[-1].macs:
            found.append(state)
    if len(found) <= MOST:
        return found
    return [found[i * (len(found) - 1) // (MOST - 1)] for i in range(MOST)]
