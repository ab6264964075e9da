"""Temporally checkpointed BPTT: BPTT's gradient from C segments, each run twice (the second step of Skipper, Singh et al. 2022).

    first pass, no graph:      v[i+1] = F_i(v[i], x),  every v[i] kept
    second pass, i = C-1..0:   segment i again from v[i], with a graph;
                               backward of L_i + <v[i+1], dL/dv[i+1]> gives dL/dW and dL/dv[i]

Bytes: C states and the graph of one segment, least near C = sqrt(T * A / S) (segments.py). ``lengths``: "even" as in the paper,
or "falling", ours: when an early segment runs again fewer states are kept, so it may be longer. The last segment's first pass is
not needed, so the forward runs (2T - |last|) / T times. Dropout masks are part of the state and noise is drawn again from the
same random state. Batch norm uses each step's own batch both times; its running averages move once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.algorithms.segments import (
    Randomness,
    backward_through,
    best_segments,
    edges,
    falling_edges,
    graph_to_state,
    shallow,
    statistics_untouched,
)
from bench.networks.build import Network
from bench.networks.modules import State
from bench.spec import YES, NetworkSpec, Support, UserError, choose

title = "checkpointed BPTT"
options: dict[str, object] = {"segments": 0, "lengths": "even"}  # segments 0: the number that needs the least memory
in_windows = True


def supports(spec: NetworkSpec) -> Support:
    return YES


def prepare(net: Network, segments: int = 0, lengths: str = "even") -> Network:
    choose("lengths", lengths, ("even", "falling"))
    if segments and lengths == "falling":
        raise UserError(f"checkpointed: segments = {segments} with falling lengths, which find their own number; leave it 0")
    net.graph_to_state = graph_to_state(net)
    return net


def train_step(
    net: Network,
    x: Tensor,
    loss: Callable[[Tensor], Tensor],
    update: Callable[[], None],
    segments: int = 0,
    lengths: str = "even",
) -> Tensor:
    steps = x.shape[0]
    if lengths == "falling":
        parts = falling_edges(steps, net.graph_to_state)
    else:
        parts = edges(steps, segments or best_segments(steps, net.graph_to_state))
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
        begin, end = parts[i]
        if i == len(parts) - 1:  # run for the first time
            out, gradient = backward_through(net, x[begin:end], starts.pop(), loss, gradient)
        else:
            with random[i].again(), statistics_untouched(net):
                out, gradient = backward_through(net, x[begin:end], starts.pop(), loss, gradient)
        total = out.sum(0) if total is None else total + out.sum(0)
    update()
    if total is None:
        raise ValueError("a sequence of no time steps has no gradient")
    return total
