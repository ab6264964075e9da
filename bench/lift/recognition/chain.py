"""A module as a chain of links, each of which reads the output of the one before; seen in two calls on tensors without storage.

A link is a submodule, or a function that forward calls between two of them (a reshape, pooling). Containers are opened where
their forward is such a chain itself; neurons, and modules that keep state, are not opened.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bench.counting.tape import tensors
from bench.errors import UserError
from bench.lift.recognition.trial import Trials


@dataclass(frozen=True)
class Link:
    """``path`` of a submodule; or a ``function`` of one tensor that the forward of the module at ``path`` calls.

    ``shape``: that of its output for one sample and time step.
    """

    path: str
    function: Callable[[Tensor], Tensor] | None
    shape: tuple[int, ...]

    @property
    def name(self) -> str:
        if self.function is None:
            return self.path
        called = getattr(self.function, "func", self.function)
        return f"{getattr(called, '__name__', 'a function')} in {self.path or 'forward'}"


@dataclass
class _Event:
    """A call inside a forward: of a submodule, or of a function with its other arguments."""

    path: str | None
    read: Tensor | None
    written: Tensor | None
    alone: bool  # it reads one tensor, as its first argument, and writes one first
    function: partial[Tensor] | None = None
    others: tuple[object, ...] = ()


@dataclass
class _Record:
    """What happened inside each module: events by the path of the module whose forward made them; its input and output."""

    events: dict[str, list[_Event]] = field(default_factory=dict)
    ends: dict[str, tuple[Tensor | None, Tensor | None]] = field(default_factory=dict)


class _Recorder(TorchFunctionMode):
    def __init__(self, record: _Record) -> None:
        super().__init__()
        self.record = record
        self.inside: list[str] = []

    def enter(self, path: str) -> None:
        self.inside.append(path)
        self.record.events[path] = []

    def leave(self, path: str, inputs: tuple[object, ...], named: Mapping[str, object], out: object) -> None:
        self.inside.pop()
        read, written = next(tensors(inputs), None), next(tensors(out), None)
        self.record.ends[path] = (read, written)
        if self.inside:
            alone = len(inputs) == 1 and isinstance(inputs[0], Tensor) and not named
            self.record.events[self.inside[-1]].append(_Event(path, read, written, alone))

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if self.inside and next(tensors(out), None) is not None:
            others = (*args[1:], *sorted((kwargs or {}).items()))
            alone = bool(args) and isinstance(args[0], Tensor) and isinstance(out, Tensor) and not list(tensors(others))
            read = args[0] if alone else None
            self.record.events[self.inside[-1]].append(
                _Event(
                    None,
                    read,
                    out if isinstance(out, Tensor) else None,
                    alone,
                    partial(_call, func, args[1:], kwargs or {}),
                    others,
                )
            )
        return out


def _call(func: Callable[..., Tensor], others: tuple[object, ...], named: Mapping[str, object], x: Tensor) -> Tensor:
    return func(x, *others, **named)


def chain_of(trials: Trials, given: tuple[object, ...], lead: int) -> list[Link]:
    """Return the links of a module whose forward takes one tensor; ``lead``: its dimensions before those of a sample.

    Raises UserError, with the place where it is no chain.
    """
    if len(given) > 1:
        raise UserError(
            f"the state of {trials.name} is an argument of forward, so that its parts cannot run alone: keep it in the neurons "
            "(snnTorch's init_hidden = True)"
        )
    once, again = _recorded(trials, given), _recorded(trials, _other(trials, given, lead))
    links = _Opened(trials, once, again, lead).links("")
    if len(links) < 2:
        raise UserError(f"{trials.name} {_broken(trials.name, once, '')}")
    return links


def _recorded(trials: Trials, given: tuple[object, ...]) -> _Record:
    recorder = _Recorder(_Record())
    with ExitStack() as stack:
        for path, module in trials.net.named_modules():
            enter = module.register_forward_pre_hook(lambda _, __, path=path: recorder.enter(path))
            leave = module.register_forward_hook(
                lambda _, inputs, named, out, path=path: recorder.leave(path, inputs, named, out), with_kwargs=True
            )
            stack.callback(enter.remove)
            stack.callback(leave.remove)
        with trials.from_the_start(), recorder:
            trials.call(*given)
    return recorder.record


def _other(trials: Trials, given: tuple[object, ...], lead: int) -> tuple[object, ...]:
    """Return what a call with another number of samples is given, so that arguments that hold it differ."""
    batch = trials.batches[1]
    return (trials.image(batch),) if lead == 1 else (trials.sequence(batch),)


@dataclass
class _Opened:
    trials: Trials
    once: _Record
    again: _Record
    lead: int

    def __post_init__(self) -> None:
        self.modules = dict(self.trials.net.named_modules())
        self.stateful = {id(slot.module) for adapter in self.trials.adapters for slot in adapter.slots(self.trials.net)}

    def links(self, path: str) -> list[Link]:
        """Return the links inside a module; it is one itself if its forward is no chain."""
        module = self.modules[path]
        events, others = self.once.events[path], self.again.events[path]
        closed = path in self.trials.neurons or id(module) in self.stateful or _hooked(module)
        if closed or not any(event.path for event in events) or _break(events, self.once.ends[path]) is not None:
            return [self._link(path, None, self.once.ends[path][1])]
        if len(events) != len(others):
            return [self._link(path, None, self.once.ends[path][1])]
        found: list[Link] = []
        for event, other in zip(events, others, strict=True):
            if event.path is not None:
                found += self.links(event.path)
                continue
            function = self._function(event, other)
            if function is None:
                return [self._link(path, None, self.once.ends[path][1])]
            found.append(self._link(path, function, event.written))
        return found

    def _link(self, path: str, function: Callable[[Tensor], Tensor] | None, written: Tensor | None) -> Link:
        return Link(path, function, () if written is None else tuple(written.shape[self.lead :]))

    def _function(self, event: _Event, other: _Event) -> Callable[[Tensor], Tensor] | None:
        """Return a function for any number of samples; None if its arguments hold that number."""
        read, written = event.read, event.written
        assert read is not None, "see _break"
        assert written is not None, "see _break"
        if written.shape == (*read.shape[: self.lead], read.shape[self.lead :].numel()) and written.numel() == read.numel():
            return partial(torch.flatten, start_dim=self.lead)
        return event.function if event.others == other.others else None


def _hooked(module: nn.Module) -> bool:
    """Whether a user's hook would not run if the parts of the module ran alone."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _break(events: Sequence[_Event], ends: tuple[Tensor | None, Tensor | None]) -> int | None:
    """Return the index of the first event that does not read the output of the one before; None if all do."""
    at = ends[0]
    for i, event in enumerate(events):
        if not event.alone or event.read is not at:
            return i
        at = event.written
    return None if at is ends[1] else len(events)


def _label(event: _Event) -> str:
    return f"the function {event.function.args[0].__name__}" if event.function else event.path or "forward"


def _broken(name: str, record: _Record, path: str) -> str:
    """Say where a forward is no chain."""
    events, ends = record.events[path], record.ends[path]
    at = _break(events, ends)
    if at is None:
        return "has one part alone"
    labels = [*(_label(event) for event in events), "the output"]
    before = labels[at - 1] if at else "the input"
    return (
        f"is no chain of parts: {labels[at]} does not read the output of {before} alone. Write it as nn.Sequential, or so that "
        "forward passes one tensor from part to part"
    )
