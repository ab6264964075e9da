"""Parts of a module that are computed again in the backward pass, and synapses that store the spikes they read as bits.

    forward     y = f(x) without a graph; saved for backward: x, as bits if it is spikes, and the hidden states before
    backward    for each piece: compute f(x) again with its graph, and back-propagate through it

Exact: f computes the same values both times. Random numbers are drawn from the same state, and running statistics of batch norm
are updated in the forward pass alone. Pieces are samples, or channels where every part treats channels alone; only the graph of
one piece exists at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.autograd.graph import get_gradient_edge

from bench.algorithms.context import Watcher
from bench.lift.frameworks import Slot
from bench.lift.recognition.levels import Levels
from bench.lift.running.compact import Packed, pack, unpack
from bench.lift.running.hidden import Hidden
from bench.nets.rerun import Randomness, frozen_averages


@dataclass(frozen=True)
class Pieces:
    """How a call is divided: ``count`` pieces along a dimension of x, of y and of the states; 1 leaves it whole."""

    count: int = 1
    of_x: int = 0
    of_y: int = 0
    of_state: int = 0
    channels: bool = False

    def cut(self, size: int) -> list[slice]:
        count = min(self.count, size)
        edges = [size * i // count for i in range(count + 1)]
        return [slice(begin, end) for begin, end in pairwise(edges)]


class InPlaceOf(nn.Module):
    """Replaces a part while a training step runs, and has its attributes."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self._held = [part]  # not registered here

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "_held":
                raise
            return getattr(self._held[0], name)


class Passing(InPlaceOf):
    """In place of a part that is computed with a later one."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Compact(InPlaceOf):
    """A part that reads few-valued input, which autograd saves packed."""

    def __init__(self, part: nn.Module, reads: Levels, watcher: Watcher) -> None:
        super().__init__(part)
        self.part, self.reads, self.watcher = part, reads, watcher

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return self.part(x)  # type: ignore[no-any-return]
        address, count = x.untyped_storage()._cdata, x.numel()
        made: list[Packed] = []

        def keep(tensor: Tensor) -> Packed | Tensor:
            if tensor.untyped_storage()._cdata != address or tensor.numel() != count or not tensor.is_floating_point():
                self.watcher.saves([tensor])
                return tensor.detach()  # otherwise a function and an output that it saves form a reference cycle
            if not made or made[0].strides != tensor.stride():
                made[:] = [pack(tensor, self.reads)]
                self.watcher.saves(made[0].planes)
            return made[0]

        with torch.autograd.graph.saved_tensors_hooks(keep, _given_back):
            return self.part(x)  # type: ignore[no-any-return]


def _given_back(kept: Packed | Tensor) -> Tensor:
    return unpack(kept) if isinstance(kept, Packed) else kept


class Group(InPlaceOf):
    """Linked parts in place of ``last``, computed as one and again in the backward pass.

    ``reads``: the values of its input, if few; ``slots``: its hidden states; ``draws``: whether it uses random numbers.
    """

    def __init__(
        self,
        last: nn.Module,
        parts: Sequence[nn.Module],
        reads: Levels | None,
        slots: Sequence[Slot],
        pieces: Pieces,
        draws: bool,
        watcher: Watcher,
    ) -> None:
        super().__init__(last)
        self.parts = nn.ModuleList(parts)
        self.reads, self.slots, self.pieces, self.draws, self.watcher = reads, slots, pieces, draws, watcher

    def forward(self, x: Tensor) -> Tensor:
        before = Hidden.of(self.slots)
        if not torch.is_grad_enabled():
            run = _Run(self, before.emptied(), [])
            y, after = run.forward(x, before.tensors, None)
        else:
            run = _Run(self, before.emptied(), [])
            anchor = torch.empty(0, device=x.device, requires_grad=True)  # makes y require a gradient even if x does not
            y, *after = _Recomputed.apply(run, anchor, x, *before.tensors)
        assert run.after is not None
        run.after.put(self.slots, after)
        return y

    def through(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x


@dataclass
class _Run:
    """One call of a group. ``before`` and ``after``: its states without their tensors; ``stored``: its input, by pieces."""

    group: Group
    before: Hidden
    stored: list[Packed]
    after: Hidden | None = None

    def forward(self, x: Tensor, given: Sequence[Tensor], stored: list[Packed] | None) -> tuple[Tensor, list[Tensor]]:
        """Return y and the tensors of the states after it; the input is packed into ``stored``."""
        group = self.group
        pieces = self._pieces(x.shape, given)
        y: Tensor | None = None
        ends: list[list[Tensor]] = []
        for i, piece in enumerate(pieces):
            part = x if len(pieces) == 1 else _slice(x, group.pieces.of_x, piece)
            if stored is not None and group.reads is not None:
                stored.append(pack(part, group.reads))
            self.before.put(group.slots, [self._of_state(v, piece, len(pieces)) for v in given])
            with self._on(piece, i, len(pieces)):
                out = group.through(part)
            end = Hidden.of(group.slots)
            self.after = end.emptied()
            ends.append(end.tensors)
            if len(pieces) == 1:
                y = out
            else:
                y = _room(out, group.pieces.of_y, x.shape[group.pieces.of_x]) if y is None else y
                _slice(y, group.pieces.of_y, piece).copy_(out)
            del part, out, end
        assert y is not None, "a batch of no samples"
        if len(pieces) == 1:
            return y, ends[0]
        return y, [torch.cat(each, group.pieces.of_state) for each in zip(*ends, strict=True)]

    def _pieces(self, shape: torch.Size, given: Sequence[Tensor]) -> list[slice]:
        how = self.group.pieces
        size = shape[how.of_x]
        if how.count == 1 or any(v.dim() <= how.of_state or v.shape[how.of_state] != size for v in given):
            return [slice(0, size)]
        return how.cut(size)

    def _of_state(self, tensor: Tensor, piece: slice, count: int) -> Tensor:
        return tensor if count == 1 else _slice(tensor, self.group.pieces.of_state, piece)

    @contextmanager
    def _on(self, piece: slice, index: int, count: int) -> Iterator[None]:
        """In this context, batch norm has the channels of ``piece``."""
        with ExitStack() as stack:
            if count > 1 and self.group.pieces.channels:
                for module in self.group.modules():
                    if isinstance(module, nn.modules.batchnorm._BatchNorm):
                        stack.enter_context(_channels(module, piece, index == 0))
            yield

    def backward(
        self,
        x: Tensor | None,
        given: Sequence[Tensor],
        wants_x: bool,
        shape: torch.Size,
        g_y: Tensor | None,
        g_after: Sequence[Tensor | None],
    ) -> tuple[Tensor | None, list[Tensor | None]]:
        """Return dL/dx and dL/d(states before)."""
        group = self.group
        pieces = self._pieces(shape, given)
        room: Tensor | None = None
        to_given: list[list[Tensor | None]] = []
        for i, piece in enumerate(pieces):
            received: list[Tensor] = []
            if x is None:
                entry = [unpack(self.stored[i])]
                self.stored[i] = None  # type: ignore[call-overload]
            else:
                entry = [x.detach() if len(pieces) == 1 else _slice(x, group.pieces.of_x, piece).detach()]
            anchor = torch.empty(0, device=entry[0].device, requires_grad=True)
            starts = [self._of_state(v, piece, len(pieces)).detach().requires_grad_(v.is_floating_point()) for v in given]
            self.before.put(group.slots, starts)
            with self._on(piece, i, len(pieces)):
                out = group.through(_Entry.apply(anchor, entry, received) if wants_x else entry.pop())
            ends = [out, *Hidden.of(group.slots).tensors]
            del out
            back = [self._of_gradient(g, j, piece, len(pieces)) for j, g in enumerate((g_y, *g_after))]
            pairs = [(get_gradient_edge(e), g) for e, g in zip(ends, back, strict=True) if g is not None and e.requires_grad]
            self.before.put(group.slots, [torch.empty(0)] * len(given))  # lets go of the states
            del ends, back
            torch.autograd.backward([e for e, _ in pairs], [g for _, g in pairs])
            del pairs
            if received:
                if len(pieces) == 1:
                    room = received.pop()
                else:
                    room = _room(received[0], group.pieces.of_x, shape[group.pieces.of_x]) if room is None else room
                    _slice(room, group.pieces.of_x, piece).copy_(received.pop())
            to_given.append([v.grad for v in starts])
            del starts
        joined: list[Tensor | None] = []
        for grads in zip(*to_given, strict=True):
            known = [g for g in grads if g is not None]
            joined.append(
                None if len(known) < len(grads) else known[0] if len(known) == 1 else torch.cat(known, group.pieces.of_state)
            )
        return room, joined

    def _of_gradient(self, g: Tensor | None, index: int, piece: slice, count: int) -> Tensor | None:
        if g is None or count == 1:
            return g
        return _slice(g, self.group.pieces.of_state if index else self.group.pieces.of_y, piece)


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, run: _Run, anchor: Tensor, x: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        group = run.group
        ctx.run, ctx.shape = run, x.shape
        ctx.random = Randomness(x.device) if group.draws else None
        ctx.mixed = _mixed_precision(x.device.type)
        y, after = run.forward(x, given, run.stored)
        for packed in run.stored:
            group.watcher.saves(packed.planes)
        ctx.save_for_backward(*([] if run.stored else [x]), *given)
        ctx.set_materialize_grads(False)
        return (_base(y), *map(_base, after))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_y: Tensor | None, *g_after: Tensor | None) -> tuple[Tensor | None, ...]:
        run: _Run = ctx.run
        kept = list(ctx.saved_tensors)
        x = None if run.stored else kept.pop(0)
        now = Hidden.of(run.group.slots)
        with ExitStack() as stack:
            if ctx.random is not None:
                stack.enter_context(ctx.random.repeated())
            stack.enter_context(frozen_averages(_in_training(run.group)))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(ctx.mixed())
            try:
                g_x, g_given = run.backward(x, kept, ctx.needs_input_grad[2], ctx.shape, g_y, g_after)
            finally:
                now.put(run.group.slots)
        return None, None, g_x, *g_given


def _in_training(group: Group) -> nn.Module:
    """Return the batch norm that updates running statistics; in evaluation it uses them, also in the second computation."""
    norms = (part for part in group.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.training)
    return nn.ModuleList(norms)


def _mixed_precision(device: str) -> Callable[[], AbstractContextManager[object]]:
    """Return what makes the context of automatic mixed precision of now, for the backward pass, which may run outside of it."""
    if device not in ("cpu", "cuda"):  # device 'meta' has none
        return nullcontext
    return partial(torch.autocast, device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device))


class _Entry(torch.autograd.Function):
    """Gives x to the graph without keeping it alive there, and receives its gradient."""

    @staticmethod
    def forward(ctx: Any, anchor: Tensor, x: list[Tensor], received: list[Tensor]) -> Tensor:
        ctx.received = received
        return x.pop()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[None, None, None]:
        ctx.received.append(g)
        return None, None, None


@contextmanager
def _channels(norm: nn.modules.batchnorm._BatchNorm, piece: slice, is_first: bool) -> Iterator[None]:
    """In this context, ``norm`` has these channels only; it counts a batch once."""
    parameters, buffers = dict(norm._parameters), dict(norm._buffers)
    for name, parameter in parameters.items():
        if parameter is not None:
            norm._parameters[name] = parameter[piece]  # type: ignore[assignment]
    for name, buffer in buffers.items():
        if buffer is not None and buffer.dim():
            norm._buffers[name] = buffer[piece]
        elif buffer is not None and not is_first:
            norm._buffers[name] = buffer.clone()
    try:
        yield
    finally:
        norm._parameters.update(parameters)
        norm._buffers.update(buffers)


def _slice(x: Tensor, dim: int, piece: slice) -> Tensor:
    return x.narrow(dim, piece.start, piece.stop - piece.start)


def _room(part: Tensor, dim: int, size: int) -> Tensor:
    """Return an empty tensor like ``part``, with ``size`` in place of its size in one dimension."""
    return part.new_empty([size if d == dim else each for d, each in enumerate(part.shape)])


def _base(x: Tensor) -> Tensor:
    """Return the tensor itself, or one of the same storage that is no view: views that leave a function may not be changed."""
    if not x._is_view():
        return x
    return x.new_empty(0).set_(x.untyped_storage(), x.storage_offset(), x.shape, x.stride())
