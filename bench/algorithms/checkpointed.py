"""Checkpointed BPTT in time: BPTT's gradient from C recomputed segments (the second step of Skipper, Singh et al. 2022).

    first pass, no graph:      v[i+1] = F_i(v[i], x),  every v[i] kept
    second pass, i = C-1..0:   recompute segment i from v[i] with a graph;
                               backward of L_i + <v[i+1], dL/dv[i+1]> gives dL/dW and dL/dv[i]

Memory: C states and the graph of one segment, least near C = sqrt(T * A / S) (segments.py). ``lengths`` of the segments: "even"
as in the paper; "falling" (ours): fewer states are kept when an early segment is recomputed, so it may be longer; or a list.
The last segment needs no first pass, so the forward work is (2T - |last|) / T times that of BPTT. Dropout masks are part of the
state; noise is redrawn from the same random state. Batch norm uses the statistics of each step's batch in both passes; its
running averages are updated once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor

from bench.algorithms.segments import (
    Randomness,
    backward_through,
    best_segments,
    edges,
    falling_edges,
    graph_to_state,
    second_pass,
    shallow,
)
from bench.networks.build import Network
from bench.networks.modules import State
from bench.options import Declared, checked, whole
from bench.spec import YES, NetworkSpec, Support, UserError, choose

title = "checkpointed BPTT"
Lengths = str | Sequence[int]
in_windows = True


def _check_lengths(name: str, value: Any) -> None:
    if isinstance(value, str):
        choose(name, value, ("even", "falling"))
    elif not isinstance(value, list | tuple) or not all(type(length) is int and length >= 1 for length in value):
        raise UserError(f"{name} = {value!r}; use even, falling, or a list of whole numbers >= 1 that add up to T")


@dataclass(frozen=True)
class Options(Declared):
    segments: int = whole(0, "number of segments; 0: the one that needs the least memory", least=0)
    lengths: Lengths = checked("even", "even, falling or a list", "steps of the segments", _check_lengths)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.segments and self.lengths != "even":
            raise UserError(
                f"checkpointed: segments = {self.segments} with lengths = {self.lengths}, which set the number; use segments = 0"
            )

    def suits(self, spec: NetworkSpec, T: int) -> None:
        segments_of(T, 1.0, self)


def supports(spec: NetworkSpec) -> Support:
    return YES


def prepare(net: Network, options: Options) -> Network:
    net.graph_to_state = graph_to_state(net)
    return net


def segments_of(steps: int, graph_to_state: float, options: Options) -> list[tuple[int, int]]:
    """Return the half-open ranges of time steps of all segments. Raises UserError if the options do not fit ``steps``."""
    lengths = options.lengths
    if lengths == "falling":
        return falling_edges(steps, graph_to_state)
    if isinstance(lengths, str):
        return edges(steps, options.segments or best_segments(steps, graph_to_state))
    if sum(lengths) != steps:
        raise UserError(f"checkpointed: lengths = {list(lengths)} add up to {sum(lengths)}, not T = {steps}")
    return list(pairwise(accumulate(lengths, initial=0)))


def train_step(net: Network, x: Tensor, loss: Callable[[Tensor], Tensor], update: Callable[[], None], options: Options) -> Tensor:
    parts = segments_of(x.shape[0], net.graph_to_state, options)
    starts: list[State] = [net.initial_state(x.shape[1])]
    random = [Randomness(x.device)]
    with torch.no_grad():
        for begin, end in parts[:-1]:
            _, state = net.window(x[begin:end], shallow(starts[-1]))
            starts.append(state)
            random.append(Randomness(x.device))
    total: Tensor | None = None
    gradient: list[Tensor | None] = []
    for i in reversed(range(len(parts))):
        run = partial(net.window, x[slice(*parts[i])])
        if i == len(parts) - 1:  # the last segment has had no first pass
            out, gradient = backward_through(run, starts.pop(), loss, gradient)
        else:
            with random[i].again(), second_pass(net):
                out, gradient = backward_through(run, starts.pop(), loss, gradient)
        total = out.sum(0) if total is None else total + out.sum(0)
    update()
    if total is None:
        raise ValueError("x has no time steps: T = 0")
    return total
