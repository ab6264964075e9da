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

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from bench.algorithms.context import StepContext
from bench.algorithms.segments import (
    backward_through,
    best_segments,
    edges,
    falling_edges,
    second_pass,
)
from bench.errors import YES, Support, UserError, choose
from bench.nets.build import Network
from bench.nets.layers import State, shallow
from bench.nets.rerun import Randomness
from bench.options import Declared, checked, whole
from bench.spec import NetworkSpec

Lengths = str | Sequence[int]
in_windows = True


def _check_lengths(name: str, value: object) -> None:
    if isinstance(value, str):
        choose(name, value, ("even", "falling"))
    elif not isinstance(value, list | tuple) or not value or not all(type(length) is int and length >= 1 for length in value):
        raise UserError(f"{name} = {value!r}; use even, falling, or a list of whole numbers >= 1 that add up to T")


@dataclass(frozen=True)
class Options(Declared):
    segments: int = whole(0, least=0, meaning="number of segments; 0 chooses the number with least memory")
    lengths: Lengths = checked("even", "even, falling or a list", _check_lengths, meaning="lengths of the segments in time steps")

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
    _ = net.graph_to_state  # measured now, so that it is not observed as a part of a training step
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


def train_step(net: Network, x: Tensor, context: StepContext, options: Options) -> Tensor:
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
            out, gradient = backward_through(run, starts.pop(), context.loss, gradient)
        else:
            with random[i].repeated(), second_pass(net, context.watcher):
                out, gradient = backward_through(run, starts.pop(), context.loss, gradient)
        total = out.sum(0) if total is None else total + out.sum(0)
    context.update()
    if total is None:
        raise ValueError("x has no time steps: T = 0")
    return total
