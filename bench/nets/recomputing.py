"""Groups of layers that are recomputed in the backward pass: only their input is saved, at one bit per spike.

    forward:    y = f(x) without a graph; saved for backward: bits of x, and the state before the window
    backward:   for each piece of the batch, recompute f(x) with its graph and back-propagate through it

Exact: the recomputation gives the same values. A group ends with neurons, or is a residual block. The batch is split into pieces
so that the graph of only one piece exists at a time; with batch norm, which couples the samples, it is not split.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bench.kernels.bit_conv import bit_conv
from bench.kernels.fused import pack, unpack
from bench.nets import layers as m
from bench.nets.build import Network
from bench.nets.grouping import Cut, normalises
from bench.nets.rerun import Randomness, frozen_averages

PIECES = 8
SMALLEST_PIECE = 8  # samples; convolutions are inefficient for fewer


class RecomputingChain(m.Chain):
    """Layers in groups, some of which are recomputed in the backward pass."""

    def __init__(self, layers: Sequence[nn.Module], cuts: Sequence[Cut]) -> None:
        super().__init__(list(layers))
        self.groups = [Group(layers, cut) for cut in cuts]
        self.group_modules = nn.ModuleList(self.groups)  # registered so that hooks find them; they have no parameters

    def forward(self, x: Tensor, state: m.State) -> tuple[Tensor, m.State]:
        if self._nothing_to_recompute():
            return super().forward(x, state)
        states = state if state is not None else [None] * len(self.layers)
        for (begin, end), group, layers in self._groups_and_layers():
            entries, states[begin:end] = states[begin:end], [None] * (end - begin)
            x, after = layers[0](x, entries[0]) if group is None else group(x, entries, m.Chain(layers))
            states[begin:end] = [after] if group is None else after
            del entries, after
        return x, states

    def last(self, x: Tensor, state: m.State) -> Tensor:
        if self._nothing_to_recompute():
            return super().last(x, state)
        states = state if state is not None else [None] * len(self.layers)
        for (begin, end), group, layers in self._groups_and_layers():
            entries, states[begin:end] = states[begin:end], [None] * (end - begin)
            x = (layers[0](x, entries[0]) if group is None else group(x, entries, _WithoutEndState(layers)))[0]
            del entries
        return x

    def _nothing_to_recompute(self) -> bool:
        """Whether nothing can be recomputed: there is no backward pass, or a layer keeps its own state between windows."""
        return not torch.is_grad_enabled() or any(map(_keeps_its_own_state, self.modules()))

    def _groups_and_layers(self) -> Iterator[tuple[Cut, Group | None, list[nn.Module]]]:
        """Yield the groups, and the layers outside of them one by one, in order."""
        layers, begin = list(self.layers), 0
        while begin < len(layers):
            group = next((group for group in self.groups if group.cut[0] == begin), None)
            end = begin + 1 if group is None else group.cut[1]
            yield (begin, end), group, layers[begin:end]
            begin = end


class _WithoutEndState(m.Chain):
    """Layers whose state after the window is not needed."""

    def forward(self, x: Tensor, state: m.State) -> tuple[Tensor, m.State]:
        return self.last(x, state), [None] * len(self.layers)


def _keeps_its_own_state(module: nn.Module) -> bool:
    """Whether ``module`` cannot be recomputed, because it keeps its own state between windows (a presynaptic trace)."""
    return hasattr(module, "synapse")


class Group(nn.Module):
    """A group of layers. ``cut``: its half-open range in the chain."""

    def __init__(self, layers: Sequence[nn.Module], cut: Cut) -> None:
        super().__init__()
        self.cut = cut
        inside = list(layers[slice(*cut)])
        self.reads_spikes = _outputs_spikes(layers[: cut[0]])
        self.emits_spikes = isinstance(inside[-1], m.Neurons)
        parts = [part for layer in inside for part in layer.modules()]
        self.couples_samples = any(map(normalises, inside))
        self.has_dropout = any(isinstance(part, m.Neurons) and part.dropout > 0 for part in parts)

    def forward(self, x: Tensor, states: m.State, layers: m.Chain) -> tuple[Tensor, m.State]:
        start_tensors = list(m.state_tensors(states))
        run = _WindowRun(self, layers, _structure_of(states))
        anchor = torch.empty(0, device=x.device, requires_grad=True)  # makes the output require a gradient even if x does not
        y, *after = _Recomputed.apply(run, anchor, x, *start_tensors)
        return y, _with_tensors(run.after, after)

    def pieces(self, batch: int) -> list[slice]:
        size = batch if self.couples_samples else max(SMALLEST_PIECE, ceil(batch / PIECES))
        return [slice(begin, min(begin + size, batch)) for begin in range(0, batch, size)]


@dataclass
class _WindowRun:
    """One window through one group. ``before`` and ``after`` are its states, with ``...`` in place of tensors."""

    group: Group
    layers: m.Chain
    before: m.State
    after: m.State = None


class _Recomputed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, run: _WindowRun, anchor: Tensor, x: Tensor, *start_tensors: Tensor) -> tuple[Tensor, ...]:
        pieces = run.group.pieces(x.shape[1])
        ctx.run, ctx.shape, ctx.type = run, x.shape, x.dtype
        ctx.random = Randomness(x.device) if run.group.has_dropout else None
        packed: list[Tensor] = []
        ctx.strides = []
        y, ends = None, []
        with m.holding_weights(run.layers):
            for piece in pieces:
                part = x if len(pieces) == 1 else x[:, piece].clone(memory_format=torch.preserve_format)
                if run.group.reads_spikes:
                    ctx.strides.append((part.shape, part.stride()))
                    packed.append(pack(part))
                out, end = run.layers(part, _with_tensors(run.before, [v[piece] for v in start_tensors]))
                del part
                if len(pieces) == 1:
                    y = out
                else:
                    y = _empty_for_batch(out, x.shape[1]) if y is None else y
                    y[:, piece].copy_(out)
                ends.append(end)
        run.after = _structure_of(ends[0])
        after = [torch.cat(tensors) for tensors in zip(*(m.state_tensors(end) for end in ends), strict=True)]
        ctx.save_for_backward(*(packed if run.group.reads_spikes else [x]), *start_tensors)
        ctx.n_inputs = len(packed) or 1
        ctx.set_materialize_grads(False)
        assert y is not None, "a batch of no samples"
        return (y, *after)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g_y: Tensor | None, *g_after: Tensor | None) -> tuple[Tensor | None, ...]:
        run: _WindowRun = ctx.run
        stored = ctx.saved_tensors
        inputs, start_tensors = stored[: ctx.n_inputs], stored[ctx.n_inputs :]
        pieces = run.group.pieces(ctx.shape[1])
        needs_g_x = ctx.needs_input_grad[2]
        g_x: Tensor | None = None
        g_start_tensors: list[list[Tensor | None]] = []
        with ExitStack() as stack:
            if ctx.random is not None:
                stack.enter_context(ctx.random.repeated())
            stack.enter_context(frozen_averages(run.layers))
            stack.enter_context(torch.enable_grad())
            stack.enter_context(m.holding_weights(run.layers))
            for i, piece in enumerate(pieces):
                if run.group.reads_spikes:
                    shape, stride = ctx.strides[i]
                    part = unpack(inputs[i], shape.numel(), ctx.type).as_strided(shape, stride)
                else:
                    part = (inputs[0] if len(pieces) == 1 else inputs[0][:, piece]).detach()
                part.requires_grad_(needs_g_x)
                starts = [v[piece].detach().requires_grad_(v.is_floating_point()) for v in start_tensors]
                out, end = run.layers(part, _with_tensors(run.before, starts))
                ends = [out, *m.state_tensors(end)]
                back = [None if g is None else (g[:, piece] if j == 0 else g[piece]) for j, g in enumerate((g_y, *g_after))]
                pairs = [(e, g) for e, g in zip(ends, back, strict=True) if g is not None and e.requires_grad]
                del out, end, ends, back
                torch.autograd.backward([e for e, _ in pairs], [g for _, g in pairs])
                if needs_g_x and part.grad is not None:
                    if len(pieces) == 1:
                        g_x = part.grad
                    else:
                        g_x = _empty_for_batch(part.grad, ctx.shape[1]) if g_x is None else g_x
                        g_x[:, piece].copy_(part.grad)
                g_start_tensors.append([v.grad for v in starts])
                del part, starts, pairs
        gathered = [None if any(g is None for g in grads) else torch.cat(grads) for grads in zip(*g_start_tensors, strict=True)]
        return None, None, g_x, *gathered


def _empty_for_batch(part: Tensor, batch: int) -> Tensor:
    """Return an empty tensor [K, batch, ...] in the layout of ``part`` [K, b, ...], with time outermost."""
    order = [0, 1, *sorted(range(2, part.dim()), key=lambda d: -part.stride()[d])]
    sizes = [batch if d == 1 else part.shape[d] for d in order]
    storage = part.new_empty(sizes)
    return storage.permute([order.index(d) for d in range(part.dim())])


def _structure_of(states: m.State) -> m.State:
    """Return ``states`` with ``...`` in place of tensors."""
    if isinstance(states, list):
        return [_structure_of(entry) for entry in states]
    return None if states is None else ...


def _with_tensors(states: m.State, tensors: Sequence[Tensor]) -> m.State:
    """Return ``states`` with ``tensors`` in place of ``...``, in order."""
    left = iter(tensors)
    return m.map_state(lambda _: next(left), states)


def _outputs_spikes(before: Sequence[nn.Module]) -> bool:
    """Whether the output of these layers is unmodified spikes: no dropout, pooling or factor after the neurons."""
    last = next((layer for layer in reversed(before) if not (isinstance(layer, m.Scaled) and layer.factor == 1)), None)
    return isinstance(last, m.Neurons) and last.dropout == 0


def _convolutions(
    before: Sequence[nn.Module], layers: Sequence[nn.Module]
) -> Iterator[tuple[Sequence[nn.Module], m.ConvSynapse]]:
    """Yield the convolutions in ``layers``, including those in residual blocks, each with the layers before it."""
    for i, layer in enumerate(layers):
        preceding = [*before, *layers[:i]]
        match layer:
            case m.ConvSynapse():
                yield preceding, layer
            case m.ResidualBlock(pre=pre, body=body, shortcut=shortcut, shortcut_of=shortcut_of):
                activated = [*preceding, *pre.layers]
                yield from _convolutions(preceding, list(pre.layers))
                yield from _convolutions(activated, list(body.layers))
                if shortcut is not None:
                    yield from _convolutions(activated if shortcut_of == "activated" else preceding, list(shortcut.layers))


def _convolve(before: Sequence[nn.Module], *arguments: Any) -> Tensor:
    """Use ``bit_conv`` as long as the input is unmodified spikes; ``folding.restored`` may put a factor back before it."""
    return (bit_conv if torch.is_grad_enabled() and _outputs_spikes(before) else F.conv2d)(*arguments)


def recomputing(net: Network, cuts: Sequence[Cut]) -> Network:
    """Recompute the layers of ``cuts`` in the backward pass; other convolutions save their input spikes at one bit each.

    Convolutions that are recomputed in pieces need no such packing. Changes ``net`` in place and returns it.
    """
    layers = list(net.body.layers)
    chain = RecomputingChain(layers, cuts)
    in_pieces = {i for group in chain.groups if not group.couples_samples for i in range(*group.cut)}
    for i, layer in enumerate(layers):
        if i not in in_pieces:
            for before, convolution in _convolutions(layers[:i], [layer]):
                convolution.convolve = partial(_convolve, before)
    net.body = chain
    return net
