"""Recomputation in depth: which layers of a user's module are computed again in the backward pass.

``layers`` is a list of groups, each written as ``first:last`` (paths of the module's parts, both included), with ``/p`` behind it
if the samples of a batch are divided into p pieces there: ``"features.0:features.7/4"``. Beside the groups, all spikes that
synapses read are stored as bits, and what lies between a synapse and the next (batch norm, neurons, pools) is computed again from
the synapse's output: this costs no multiply-accumulates, and an empty list is nothing but this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from torch import nn
from torch.utils.hooks import RemovableHandle

from bench.algorithms.context import Watcher
from bench.errors import UserError
from bench.lift import frameworks
from bench.lift.frameworks import Slot
from bench.lift.recognition.flow import Flow, Part, Run
from bench.lift.running.recomputed import Compact, Group, Passing, Pieces

FINEST = 16  # pieces of the largest layer of neurons; others have pieces of about the same size
_POOLS = tuple(f"{kind}Pool{d}d" for kind in ("Max", "Avg", "AdaptiveAvg", "AdaptiveMax") for d in (1, 2, 3))
NORMS = ("BatchNorm1d", "BatchNorm2d", "BatchNorm3d")
_VIEWS = ("Flatten", "Unflatten", "Identity")


@dataclass(frozen=True)
class Recompute:
    """A group: paths of its first and last part, and the number of pieces of the batch."""

    first: str
    last: str
    pieces: int = 1

    def __str__(self) -> str:
        return f"{self.first}:{self.last}" + (f"/{self.pieces}" if self.pieces > 1 else "")


def parsed(text: object) -> Recompute:
    """Read ``first:last/p``. Raises UserError for anything else."""
    if isinstance(text, str) and text:
        names, _, pieces = text.partition("/")
        first, _, last = names.partition(":")
        if first and (pieces.isdecimal() or not pieces) and pieces != "0":
            return Recompute(first, last or first, int(pieces or 1))
    raise UserError(
        f"layers: {text!r} is not a group: write first:last, as features.0:features.7, with /4 behind it for 4 pieces"
    )


@dataclass(frozen=True)
class Depth:
    """How a module is run: what is in the place of its parts while a training step runs; ``slots``: its hidden states."""

    module: nn.Module
    places: Mapping[str, nn.Module]
    slots: Sequence[Slot]

    @contextmanager
    def applied(self, *, forgetting: bool) -> Iterator[None]:
        """In this context, the module computes the same with less memory.

        ``forgetting``: a layer's hidden state is let go of once the layer has run, since no time step follows.
        """
        former: list[tuple[nn.Module, str, nn.Module]] = []
        hooks: list[RemovableHandle] = []
        try:
            for slot in self.slots if forgetting else ():
                hooks.append(slot.module.register_forward_hook(lambda _, __, ___, slot=slot: slot.write(_initial(slot))))
            for path in self.places:
                where, _, name = path.rpartition(".")
                parent = self.module.get_submodule(where)
                held = parent._modules[name]
                assert held is not None
                former.append((parent, name, held))
            for (parent, name, _), place in zip(former, self.places.values(), strict=True):
                parent._modules[name] = place
            yield
        finally:
            for parent, name, held in former:
                parent._modules[name] = held
            for hook in hooks:
                hook.remove()


def _initial(slot: Slot) -> object:
    return list(slot.initial) if isinstance(slot.initial, list) else slot.initial


def depth_of(module: nn.Module, flow: Flow, layers: Sequence[Recompute], watcher: Watcher) -> Depth:
    """Return how ``module`` is run with these groups. Raises UserError for a group that it does not have."""
    slots = [slot for adapter in frameworks.of(module) for slot in adapter.slots(module)]
    builder = _Builder(module, flow, slots, watcher)
    left = list(layers)
    places: dict[str, nn.Module] = {}
    for runs in flow.runs.values():
        for run in runs:
            inside = [group for group in left if group.first in run and group.last in run]
            left = [group for group in left if group not in inside]
            places |= builder.run(run, inside)
    if left:
        raise UserError(f"layers: {left[0]} are not linked parts; {_known(flow)}")
    return Depth(module, places, slots)


def _known(flow: Flow) -> str:
    runs = [run for runs in flow.runs.values() for run in runs]
    shown = ", ".join(f"{run[0]}:{run[-1]}" for run in runs[:6])
    return f"linked parts of this module are {shown}{' ...' if len(runs) > 6 else ''}" if runs else "this module has none"


@dataclass(frozen=True)
class _Builder:
    module: nn.Module
    flow: Flow
    slots: Sequence[Slot]
    watcher: Watcher

    def run(self, run: Run, groups: Sequence[Recompute]) -> dict[str, nn.Module]:
        ranges = sorted((run.index(group.first), run.index(group.last) + 1, group) for group in groups)
        places: dict[str, nn.Module] = {}
        at = 0
        for begin, end, group in ranges:
            if end <= begin or begin < at:
                raise UserError(f"layers: {group} overlaps another group, or ends before it begins")
            places |= self.free(run[at:begin])
            inside = self.free(run[begin:end])
            parts = [inside.get(path, self.module.get_submodule(path)) for path in run[begin:end]]
            whole = Group(
                self.module.get_submodule(run[end - 1]),
                [part for part in parts if not isinstance(part, Passing)],
                self.part(run[begin]).reads,
                self._slots(run[begin:end]),
                self._of_samples(run[begin:end], group),
                any(self.part(path).draws for path in run[begin:end]),
                self.watcher,
            )
            places |= self._places(run[begin:end], whole)
            at = end
        return places | self.free(run[at:])

    def free(self, run: Run) -> dict[str, nn.Module]:
        """Return what is in the place of parts to store less, at no multiply-accumulates."""
        places: dict[str, nn.Module] = {}
        at = 0
        while at < len(run):
            end, pieces = self._between_synapses(run, at)
            parts = [self.part(path) for path in run[at:end]]
            first, here = self.part(run[at]), self.module.get_submodule(run[at])
            if _saves_less(parts):
                modules = [self.module.get_submodule(path) for path in run[at:end]]
                group = Group(modules[-1], modules, first.reads, self._slots(run[at:end]), pieces, False, self.watcher)
                places |= self._places(run[at:end], group)
            elif first.macs and first.reads is not None and run[at] not in self.flow.runs:
                places[run[at]] = Compact(here, first.reads, self.watcher)
            at = max(end, at + 1)
        return places

    def part(self, path: str) -> Part:
        return self.flow.parts[path]

    def _between_synapses(self, run: Run, at: int) -> tuple[int, Pieces]:
        """Return where the parts end that may be computed again from ``at`` on (``at`` if none may), and in which pieces."""
        end = at
        while end < len(run) and not self.part(run[end]).macs and not self.part(run[end]).draws:
            end += 1
        if not any(self.part(path).mixes for path in run[at:end]):
            return end, self._pieces(run[at:end], self._finest(run[at:end])) if end > at else Pieces()
        end = at
        while end < len(run) and self._treats_channels_alone(run[end]):
            end += 1
        dims = [self.part(path).batch for path in run[at:end]]
        if end == at or any(None in dim for dim in dims):
            return at, Pieces()
        x, y = dims[0][0], dims[-1][1]
        assert x is not None and y is not None  # noqa: PT018
        return end, Pieces(self._finest(run[at:end]), x + 1, y + 1, 1, channels=True)

    def _finest(self, run: Run) -> int:
        largest = max(part.sizes[0] for part in self.flow.parts.values() if not part.macs)
        return max(1, round(FINEST * self.part(run[0]).sizes[0] / max(largest, 1)))

    def _treats_channels_alone(self, path: str) -> bool:
        part, module = self.part(path), self.module.get_submodule(path)
        if part.macs or part.draws:
            return False
        if part.kind in NORMS:
            return isinstance(module, nn.modules.batchnorm._BatchNorm) and module.momentum is not None
        if part.kind in _POOLS:
            return True
        neurons = {path for adapter in frameworks.of(self.module) for path in adapter.neurons(self.module)}
        held = [*module.parameters(), *module.buffers()]
        return path in neurons and all(each.numel() <= 1 for each in held) and not getattr(module, "inhibition", False)

    def _of_samples(self, run: Run, group: Recompute) -> Pieces:
        if group.pieces == 1:
            return Pieces()
        for path in run:
            part = self.part(path)
            why = "draws random numbers" if part.draws else "makes the samples of a batch depend on one another"
            if part.draws or part.mixes or None in part.batch:
                raise UserError(f"layers: {group}: {path} {why}, so that the batch cannot be divided: leave out /{group.pieces}")
        return self._pieces(run, group.pieces)

    def _pieces(self, run: Run, count: int) -> Pieces:
        x, y = self.part(run[0]).batch[0], self.part(run[-1]).batch[1]
        return Pieces() if x is None or y is None else Pieces(count, x, y, 0)

    def _slots(self, run: Run) -> list[Slot]:
        return [slot for slot in self.slots if any(f"{slot.path}.".startswith(f"{path}.") for path in run)]

    def _places(self, run: Run, group: Group) -> dict[str, nn.Module]:
        return {path: Passing(self.module.get_submodule(path)) for path in run[:-1]} | {run[-1]: group}


def _saves_less(parts: Sequence[Part]) -> bool:
    """Whether parts without products save more for backward than their input."""
    if not parts or any(part.macs for part in parts):
        return False
    changing = [part for part in parts if part.kind not in _VIEWS]
    return len(changing) > 1 or (len(changing) == 1 and parts[0].reads is not None)
