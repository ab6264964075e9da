"""What each unit of a user's module takes in a training step: bytes kept for backward, and the most alive while it runs.

A unit is a synapse with what follows it up to the next (batch norm, neurons, pools), or a block. Two steps are run on tensors
without storage: in one every unit keeps its graph, in the other every unit is computed again in the backward pass. From both,

    kept     bytes that stay alive from a unit's forward pass to its backward pass
    forward  most bytes alive while the unit runs forward, beyond what was kept before it
    backward most bytes alive while its backward pass runs, beyond what was kept before it

so that the peak of a schedule that recomputes some units is about the largest sum of what is kept before a unit and what the unit
itself takes (bench/lift/fitting/schedules.py). Every schedule is then counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from bench.counting.tape import tensors
from bench.counting.timeline import Timeline
from bench.lift.recognition.flow import Flow, Run

LARGE = 0.25  # share of the products in one block, beyond which the runs inside are units


@dataclass(frozen=True)
class Unit:
    """Linked parts ``first`` to ``last``; ``macs``: forward products for one sample; ``x``, ``y``: elements for one sample.

    ``alone``: whether samples do not depend on one another, so that the batch may be divided; ``run``: the run that it is in.
    """

    first: str
    last: str
    macs: int
    x: int
    y: int
    weights: int
    alone: bool
    run: int


def units_of(flow: Flow, net: nn.Module) -> list[Unit]:
    """Return the units in the order in which they run."""
    total = sum(flow.parts[path].macs for run in flow.runs.get("", ()) for path in run)
    runs = [run for run in flow.runs.get("", ()) for run in _opened(flow, run, LARGE * total)]
    return [unit for i, run in enumerate(runs) for unit in _units(flow, net, run, i)]


def _opened(flow: Flow, run: Run, large: float) -> list[Run]:
    """Return the run, with blocks of many products replaced by the runs inside."""
    found: list[Run] = []
    piece: list[str] = []
    for path in run:
        if path in flow.runs and flow.parts[path].macs > large:
            found += [tuple(piece)] if piece else []
            piece = []
            found += [deeper for inside in flow.runs[path] for deeper in _opened(flow, inside, large)]
        else:
            piece.append(path)
    return [*found, *([tuple(piece)] if piece else [])]


def _units(flow: Flow, net: nn.Module, run: Run, index: int) -> list[Unit]:
    starts = [i for i, path in enumerate(run) if flow.parts[path].macs or i == 0]
    if len(starts) > 1 and not flow.parts[run[0]].macs:
        del starts[1]  # what comes before the first synapse belongs to it
    found = []
    for begin, end in zip(starts, [*starts[1:], len(run)], strict=True):
        parts = [flow.parts[path] for path in run[begin:end]]
        macs = sum(part.macs for part in parts)
        weights = {id(p): p.numel() for part in parts for p in net.get_submodule(part.path).parameters() if p.requires_grad}
        alone = all(not part.mixes and not part.draws and None not in part.batch for part in parts)
        x, y = parts[0].sizes[0], parts[-1].sizes[1]
        if macs:
            found.append(Unit(run[begin], run[end - 1], macs, x, y, sum(weights.values()), alone, index))
    return found


@dataclass(frozen=True)
class Taken:
    """Bytes of one unit in one step; see the head of this file."""

    kept: int
    forward: int
    backward: int


@dataclass
class Marks:
    """Where a step is: set by hooks on the modules of units, and by gradients that arrive at their outputs."""

    units: Sequence[Unit]
    place: tuple[str, int] = ("before", -1)

    @contextmanager
    def watching(self, module: Callable[[str], nn.Module]) -> Iterator[None]:
        """In this context, ``place`` follows the step; ``module(path)``: what is in the place of a part."""
        with ExitStack() as stack:
            for i, unit in enumerate(self.units):
                first, last = module(unit.first), module(unit.last)
                stack.callback(first.register_forward_pre_hook(lambda _, args, i=i: self._begin(i)).remove)
                stack.callback(last.register_forward_hook(lambda _, args, out, i=i: self._end(i, out)).remove)
            yield

    def _begin(self, i: int) -> None:
        if self.place[0] != "backward":
            self.place = ("forward", i)

    def _end(self, i: int, out: object) -> None:
        if self.place[0] == "backward":
            return
        self.place = ("between", i)
        y = next(tensors(out), None)
        if isinstance(y, Tensor) and y.requires_grad:
            y.register_hook(lambda g: self._arrives(i))

    def _arrives(self, i: int) -> None:
        self.place = ("backward", i)


def taken(trace: Timeline, sizes: Sequence[tuple[int, int]]) -> tuple[list[Taken], int]:
    """Return what each unit took in the step that ``trace`` has seen, and the bytes before the first.

    ``sizes``: bytes of the input and output of each unit.
    """
    starts: dict[int, int] = {}
    ends: dict[int, int] = {}
    forward: dict[int, int] = {}
    backward: dict[int, int] = {}
    for moment in trace.moments():
        kind, i = cast("tuple[str, int]", moment.place)
        most = max(moment.before, moment.after)
        if kind == "forward":
            starts.setdefault(i, moment.before)
            ends[i] = moment.after
            forward[i] = max(forward.get(i, 0), most)
        elif kind == "backward":
            backward[i] = max(backward.get(i, 0), most)
    found = []
    for i, (x, y) in enumerate(sizes):
        if i not in starts:
            found.append(Taken(0, 0, 0))
            continue
        before = starts[i] - (x if i else 0)
        later = next((starts[j] - sizes[j][0] for j in range(i + 1, len(sizes)) if j in starts), None)
        kept = (ends[i] - y if later is None else later) - before
        found.append(Taken(max(kept, 0), forward[i] - before, backward.get(i, before) - before))
    return found, starts[min(starts)] if starts else 0
