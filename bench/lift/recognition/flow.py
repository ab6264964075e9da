"""Which parts of a module follow one another in a call: what may be computed as one, and computed again in the backward pass.

Two parts are linked if the second alone reads what the first returns. Linked parts form a run, and a run computes one tensor from
one tensor. A Sequential that is nothing but a run is replaced by its parts; any other module with weights inside, as a residual
block, is a part of a run and has runs inside.

Seen in two calls with different batches on tensors without storage: what is read, by whom, and which sizes grow with the batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode

from bench.counting.macs import Macs
from bench.counting.tape import tensors, watching
from bench.lift.recognition.levels import SPIKES, Levels, LevelsOf
from bench.lift.recognition.parts import binary_neurons, initial_states
from bench.lift.recognition.recognise import Recognised
from bench.lift.recognition.trial import Trials

Run = tuple[str, ...]  # paths of linked parts, in order


@dataclass(frozen=True)
class Part:
    """A module that computes one tensor from one tensor.

    ``reads``, ``writes``: the values of its input and output, if they are few; ``macs``: forward products for one sample;
    ``sizes``: elements of input and output for one sample; ``batch``: the dimension of samples in input and output; ``mixes``:
    whether samples depend on one another; ``draws``: whether it uses random numbers.
    """

    path: str
    kind: str
    reads: Levels | None
    writes: Levels | None
    macs: int
    sizes: tuple[int, int]
    batch: tuple[int | None, int | None]
    mixes: bool
    draws: bool


@dataclass(frozen=True)
class Flow:
    """The parts by path, and the runs: of the module itself under "", and inside of each part that has some."""

    parts: dict[str, Part]
    runs: dict[str, tuple[Run, ...]]


def flow_of(recognised: Recognised, trials: Trials) -> Flow:
    """Return the parts and runs of the copy without storage that ``trials`` call."""
    one, other = (_Recorder(trials).record(_arguments(trials, recognised, batch)) for batch in trials.batches)
    return _flow(one, other, trials)


def _arguments(trials: Trials, recognised: Recognised, batch: int) -> tuple[object, ...]:
    if recognised.state_arguments:
        return trials.image(batch), *initial_states(trials.net, batch, recognised.state_arguments)
    if recognised.takes == "frame":
        return (trials.image(batch),)
    sequence = trials.sequence(batch)
    return (sequence if recognised.takes == "sequence" else sequence.transpose(0, 1),)


@dataclass
class _Call:
    """A call of a module: ``x`` and ``y`` if it takes one tensor and returns one."""

    path: str
    parent: int | None
    begin: int
    end: int = 0
    x: Tensor | None = None
    y: Tensor | None = None
    reads: Levels | None = None
    writes: Levels | None = None
    macs: int = 0
    inside: list[int] = field(default_factory=list)

    @property
    def single(self) -> bool:
        return self.x is not None and self.y is not None and self.y is not self.x


@dataclass(frozen=True)
class _Operator:
    at: int
    name: str
    sizes: tuple[tuple[int, bool], ...]  # of each output: number of elements, and whether it depends on the input
    draws: bool


class _Recorder(TorchFunctionMode):
    """One call of a module: calls inside it, operators, and when each tensor is used."""

    def __init__(self, trials: Trials) -> None:
        super().__init__()
        self.trials = trials
        self.calls: list[_Call] = []
        self.operators: list[_Operator] = []
        self.used: dict[int, list[int]] = {}  # Python object: times
        self.read: dict[int, list[int]] = {}  # storage: times
        self._now = 0
        self._stack: list[int] = []
        self._of_input: set[int] = set()
        self._alive: list[Tensor] = []
        self._macs = Macs(trials.net.parameters())
        self._levels = LevelsOf()

    def record(self, given: tuple[object, ...]) -> _Recorder:
        net = self.trials.net
        self._of_input = {_address(tensor) for tensor in tensors(given)}
        self._alive.extend(tensors(given))
        with ExitStack() as stack:
            for path, module in net.named_modules():
                enter = module.register_forward_pre_hook(
                    lambda _, args, kwargs, path=path: self._enter(path, args, kwargs), with_kwargs=True
                )
                stack.callback(enter.remove)
            for module in binary_neurons(net, self.trials.adapters):
                if _is_one(getattr(module, "graded_spikes_factor", 1)):
                    hook = module.register_forward_hook(lambda _, __, out: self._levels.mark(list(tensors(out))[:1], SPIKES))
                    stack.callback(hook.remove)
            for module in net.modules():
                stack.callback(module.register_forward_hook(lambda _, __, out: self._leave(out)).remove)
            stack.enter_context(self.trials.from_the_start())
            stack.enter_context(watching(self, self._macs, self._levels))
            stack.enter_context(self)
            self.trials.call(*given)
        return self

    def __torch_function__(
        self, func: Callable[..., object], types: object, args: tuple[object, ...] = (), kwargs: dict[str, object] | None = None
    ) -> object:
        self._now += 1
        for tensor in tensors((args, tuple((kwargs or {}).values()))):
            self.used.setdefault(id(tensor), []).append(self._now)
        return func(*args, **(kwargs or {}))

    def on_operator(self, op: OpOverload, args: Sequence[object], reads: list[Tensor], outputs: list[Tensor]) -> None:
        self._now += 1
        depends = any(_address(tensor) in self._of_input for tensor in reads)
        for tensor in reads:
            self.read.setdefault(_address(tensor), []).append(self._now)
        if depends:
            self._of_input.update(_address(tensor) for tensor in outputs)
        self._alive.extend((*reads, *outputs))
        kept = outputs[:1] if _uses_given_statistics(op, args) else outputs
        sizes = tuple((tensor.numel(), depends) for tensor in kept)
        self.operators.append(_Operator(self._now, str(op), sizes, torch.Tag.nondeterministic_seeded in op.tags))

    def _enter(self, path: str, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        with torch._C.DisableTorchFunction():  # else a look at a tensor would count as its use
            self._entered(path, args, kwargs)

    def _entered(self, path: str, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        self._now += 1
        call = _Call(path, self._stack[-1] if self._stack else None, self._now)
        call.macs = -sum(self._macs.dense.values())
        if len(args) == 1 and not kwargs and isinstance(args[0], Tensor):
            call.x, call.reads = args[0], self._levels.of(args[0])
        self._alive.extend(tensors(args))
        if call.parent is not None:
            self.calls[call.parent].inside.append(len(self.calls))
        self._stack.append(len(self.calls))
        self.calls.append(call)

    def _leave(self, out: object) -> None:
        with torch._C.DisableTorchFunction():
            self._left(out)

    def _left(self, out: object) -> None:
        self._now += 1
        call = self.calls[self._stack.pop()]
        call.end = self._now
        call.macs += sum(self._macs.dense.values())
        if isinstance(out, Tensor):
            call.y, call.writes = out, self._levels.of(out)
            self._alive.append(out)

    # ----------------------------------------------------------------------- links

    def alone(self, former: _Call, later: _Call) -> bool:
        """Whether ``later`` reads what ``former`` returns, and nothing else does."""
        if not former.single or not later.single or later.x is not former.y or later.begin < former.end:
            return False
        assert former.y is not None
        assert later.y is not None
        times = [t for t in self.used.get(id(former.y), []) if t > former.end]
        if _address(former.y) != _address(later.y):  # otherwise a view: its readers read it under its own name
            times += [t for t in self.read.get(_address(former.y), []) if t > former.end]
        return all(later.begin < t < later.end for t in times)

    def sequence(self, inside: Sequence[int]) -> list[_Call]:
        """Return the parts of these calls in order, with what is nothing but a run replaced by its parts."""
        found: list[_Call] = []
        for call in (self.calls[i] for i in inside):
            if call.x is not None and call.y is call.x:
                continue
            found.extend(self._run_inside(call) or [call])
        return found

    def _run_inside(self, call: _Call) -> list[_Call]:
        if not call.inside or not call.single or call.path in self.trials.neurons:
            return []
        parts = self.sequence(call.inside)
        if not parts or parts[0].x is not call.x or parts[-1].y is not call.y:
            return []
        assert call.x is not None
        times = [t for t in self.used.get(id(call.x), []) if call.begin < t < call.end]
        enters = all(parts[0].begin < t < parts[0].end for t in times)
        return parts if enters and all(self.alone(a, b) for a, b in pairwise(parts)) else []

    def runs_of(self, call: _Call) -> Iterator[list[_Call]]:
        """Yield the runs directly inside a call."""
        run: list[_Call] = []
        for part in self.sequence(call.inside):
            if run and not self.alone(run[-1], part):
                yield run
                run = []
            if part.single:
                run.append(part)
        if run:
            yield run

    def has_runs(self, call: _Call) -> bool:
        return bool(call.inside) and call.macs > 0 and call.path not in self.trials.neurons


def _flow(one: _Recorder, other: _Recorder, trials: Trials) -> Flow:
    if [call.path for call in one.calls] != [call.path for call in other.calls]:
        return Flow({}, {})
    alike = [op.name for op in one.operators] == [op.name for op in other.operators]
    twin = {id(call): also for call, also in zip(one.calls, other.calls, strict=True)}
    seen: dict[str, list[tuple[str, Run]]] = {}  # path of a part: where it is, and its run, for each call
    order: list[tuple[str, Run]] = []
    parts: dict[str, list[Part]] = {}
    found = [one.calls[0]]
    while found:
        call = found.pop(0)
        for run in one.runs_of(call):
            paths = (call.path, tuple(part.path for part in run))
            if paths not in order:
                order.append(paths)
            for part in run:
                seen.setdefault(part.path, []).append(paths)
                parts.setdefault(part.path, []).append(_part(part, twin[id(part)], one, other, alike, trials))
                found += [part] if one.has_runs(part) else []
        for each in one.sequence(call.inside):  # of several tensors: no part of a run, but runs are inside
            if not each.single and one.has_runs(each):
                found.append(each)
    runs: dict[str, list[Run]] = {}
    ambiguous = {path for path, places in seen.items() if len(set(places)) > 1} | _registered_twice(trials.net)
    ambiguous |= {path for path, neuron in trials.neurons.items() if getattr(neuron, "store_v_seq", False)}  # all at once
    ambiguous |= {path for _, linked in order for path, times in Counter(linked).items() if times > 1}
    for where, linked in order:
        for piece in _split(linked, ambiguous):
            runs.setdefault(where, []).append(piece)
    return Flow({path: _common(each) for path, each in parts.items()}, {where: tuple(each) for where, each in runs.items()})


def _registered_twice(net: nn.Module) -> set[str]:
    """Return the paths of modules that are also called by another path, so that none of them may be replaced."""
    paths: dict[int, list[str]] = {}
    for path, module in net.named_modules(remove_duplicate=False):
        paths.setdefault(id(module), []).append(path)
    return {path for each in paths.values() if len(each) > 1 for path in each}


def _split(run: Run, leave_out: Set[str]) -> Iterator[Run]:
    piece: list[str] = []
    for path in run:
        if path in leave_out:
            if piece:
                yield tuple(piece)
            piece = []
        else:
            piece.append(path)
    if piece:
        yield tuple(piece)


def _part(call: _Call, also: _Call, one: _Recorder, other: _Recorder, alike: bool, trials: Trials) -> Part:
    operators, others = _within(one, call), _within(other, also)
    mixes = not alike or any(
        depends and size == again > 0
        for former, later in zip(operators, others, strict=False)
        for (size, depends), (again, _) in zip(former.sizes, later.sizes, strict=False)
    )
    assert call.x is not None and call.y is not None and also.x is not None and also.y is not None  # noqa: PT018
    few, more = trials.batches
    return Part(
        path=call.path,
        kind=type(trials.net.get_submodule(call.path)).__name__,
        reads=call.reads,
        writes=call.writes,
        macs=(also.macs - call.macs) // (more - few),
        sizes=(_each(call.x, also.x, more - few), _each(call.y, also.y, more - few)),
        batch=(_dimension(call.x, also.x, few, more), _dimension(call.y, also.y, few, more)),
        mixes=mixes,
        draws=any(operator.draws for operator in operators),
    )


def _each(few: Tensor, more: Tensor, samples: int) -> int:
    """Return the elements of one sample."""
    return (more.numel() - few.numel()) // samples


def _common(calls: Sequence[Part]) -> Part:
    """Return what holds of every call of one module in a step."""
    first_, *others = calls
    if all(each == first_ for each in others):
        return first_
    return Part(
        path=first_.path,
        kind=first_.kind,
        reads=first_.reads if all(each.reads == first_.reads for each in calls) else None,
        writes=first_.writes if all(each.writes == first_.writes for each in calls) else None,
        macs=sum(each.macs for each in calls),
        sizes=(max(each.sizes[0] for each in calls), max(each.sizes[1] for each in calls)),
        batch=first_.batch if all(each.batch == first_.batch for each in calls) else (None, None),
        mixes=any(each.mixes for each in calls),
        draws=any(each.draws for each in calls),
    )


def _within(recorder: _Recorder, call: _Call) -> list[_Operator]:
    return [operator for operator in recorder.operators if call.begin < operator.at < call.end]


def _dimension(x: Tensor, also: Tensor, few: int, more: int) -> int | None:
    """Return the dimension of samples: the only one whose size is the batch."""
    if x.dim() != also.dim():
        return None
    found = [i for i, sizes in enumerate(zip(x.shape, also.shape, strict=True)) if sizes[0] != sizes[1]]
    return found[0] if len(found) == 1 and (x.shape[found[0]], also.shape[found[0]]) == (few, more) else None


def _uses_given_statistics(op: OpOverload, args: Sequence[object]) -> bool:
    """Whether this is batch norm in evaluation, whose other outputs are its running statistics."""
    given = zip(op._schema.arguments, args, strict=False)
    return "batch_norm" in str(op) and not any(
        value is True for argument, value in given if argument.name in ("train", "training")
    )


def _is_one(factor: object) -> bool:
    if isinstance(factor, Tensor):
        try:
            return float(factor) == 1.0
        except Exception:  # without storage it has no value
            return False
    return factor == 1


def _address(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address
