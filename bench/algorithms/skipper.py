"""Skipper: checkpointed BPTT that leaves out the time steps of least activity (Singh et al., MICRO 2022).

Only the paper's abstract is certain. This is the definition reconstructed from it; each choice that it leaves open is an option.

    first pass, no graph:     v[i+1] = F_i(v[i], x);   a[t] = spikes of all neurons and all samples of the batch at step t
    kept steps:               those of most activity, ceil((1 - p/100) K[i]) in segment i; of equals the earlier
    second pass, i = C-1..0:  the kept steps alone, with a graph, from v[i];
                              backward of (loss of the kept steps) + <end state, dL/d(end state)>

p = 0 is checkpointing. A segment must keep as many steps as there are spiking layers
L_n, which a spike needs to pass them all:  p <= 100 (1 - L_n / min K).

    per       "segment": the least active p % of each segment are skipped;  "sequence": of them all, but L_n a segment stay
    loss      "kept": the kept steps' own share;  "rescaled": times T / kept, so that it weighs as much as the whole
    skipped   "frozen": the state passes skipped steps unchanged;  "leak": membrane potentials decay through them
    last      "skippable": as any other step;  "kept": the last step of a segment, where the next state attaches, always stays
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

from bench.algorithms.segments import (
    Randomness,
    backward_through,
    best_segments,
    edges,
    graph_to_state,
    second_pass,
    shallow,
)
from bench.networks.build import Network
from bench.networks.modules import State, leak
from bench.spec import YES, NetworkSpec, Support, UserError, choose

title = "Skipper"
options: dict[str, object] = {
    "segments": 0, "p": 50, "per": "segment", "loss": "kept", "skipped": "frozen", "last": "skippable"
}  # fmt: skip
in_windows = True


def supports(spec: NetworkSpec) -> Support:
    return YES


def prepare(
    net: Network,
    segments: int = 0,
    p: float = 50,
    per: str = "segment",
    loss: str = "kept",
    skipped: str = "frozen",
    last: str = "skippable",
) -> Network:
    choose("per", per, ("segment", "sequence"))
    choose("loss", loss, ("kept", "rescaled"))
    choose("skipped", skipped, ("frozen", "leak"))
    choose("last", last, ("skippable", "kept"))
    if not 0 <= p < 100:
        raise UserError(f"skipper: p = {p} per cent of the steps; use 0 <= p < 100")
    net.graph_to_state = graph_to_state(net)
    return net


def train_step(
    net: Network,
    x: Tensor,
    criterion: Callable[[Tensor], Tensor],
    update: Callable[[], None],
    segments: int = 0,
    p: float = 50,
    per: str = "segment",
    loss: str = "kept",
    skipped: str = "frozen",
    last: str = "skippable",
) -> Tensor:
    steps, layers = x.shape[0], len(net.spiking())
    parts = edges(steps, segments or affordable(steps, layers, p, net.graph_to_state))
    _check_bound(parts, layers, p)
    starts: list[State] = [net.initial_state(x.shape[1])]
    random: list[Randomness] = []
    outs: list[Tensor] = []
    with torch.no_grad(), activity(net) as spikes:
        for begin, end in parts:
            random.append(Randomness(x.device))
            state = shallow(starts[-1])
            for window in x[begin:end].split(math.ceil((1 - p / 100) * (end - begin))):  # as long as the second pass's
                out, state = net.window(window, state)
                outs.append(out.sum(0))
            starts.append(state)
    del out, state, starts[-1]  # nothing comes after the last segment
    kept = kept_steps(spikes(), parts, layers, p, per, last)
    weight = steps / sum(map(len, kept)) if loss == "rescaled" else 1.0
    gradient: list[Tensor | None] = []
    for i in reversed(range(len(parts))):
        run = partial(_run_kept, net, x, parts[i], kept[i], skipped)
        with random[i].again(), second_pass(net):
            _, gradient = backward_through(run, starts.pop(), lambda out: weight * criterion(out), gradient)
    update()
    return torch.stack(outs).sum(0)


def _run_kept(
    net: Network, x: Tensor, part: tuple[int, int], kept: list[int], skipped: str, state: State
) -> tuple[Tensor, State]:
    begin, end = part
    if len(kept) == end - begin:
        return net.window(x[begin:end], state)
    if skipped == "frozen":
        return net.window(x[kept], state)
    outs, at = [], begin
    for t in kept:
        out, state = net.window(x[t : t + 1], leak(net.body, state, t - at))
        outs.append(out)
        at = t + 1
    return torch.cat(outs), leak(net.body, state, end - at)


@contextmanager
def activity(net: Network) -> Iterator[Callable[[], Tensor]]:
    """Watch all neurons; the function given tells the spikes of each time step [T] so far, before dropout, in float64."""
    neurons: list[Any] = [layer.neurons for layer in net.neurons()]
    seen: dict[int, list[Tensor]] = {id(module): [] for module in neurons}

    def note(module: Any, _: Any, output: Any) -> None:
        seen[id(module)].append(output[0].detach().flatten(1).sum(1, dtype=torch.float64))

    hooks = [module.register_forward_hook(note) for module in neurons]
    try:
        yield lambda: torch.stack([torch.cat(steps) for steps in seen.values()]).sum(0)
    finally:
        for hook in hooks:
            hook.remove()


def kept_steps(
    spikes: Tensor, parts: list[tuple[int, int]], layers: int, p: float, per: str = "segment", last: str = "skippable"
) -> list[list[int]]:
    """Time steps that every segment keeps, ascending. ``spikes`` [T]; on device 'meta', which has no values, the first ones."""
    counts = [math.ceil((1 - p / 100) * (end - begin)) for begin, end in parts]
    if spikes.device.type == "meta":
        return [list(range(begin, begin + count)) for (begin, _), count in zip(parts, counts, strict=True)]
    always = {end - 1 for _, end in parts} if last == "kept" else set()
    ranked = sorted(range(len(spikes)), key=lambda t: (t not in always, -float(spikes[t]), t))
    if per == "sequence":
        most = set(ranked[: math.ceil((1 - p / 100) * len(ranked))])
        counts = [max(layers, sum(t in most for t in range(*part))) for part in parts]
    by_segment = [[t for t in ranked if begin <= t < end] for begin, end in parts]
    return [sorted(steps[:count]) for steps, count in zip(by_segment, counts, strict=True)]


def _check_bound(parts: list[tuple[int, int]], layers: int, p: float) -> None:
    shortest = min(end - begin for begin, end in parts)
    bound = 100 * (1 - layers / shortest)
    if p > 0 and p > bound:
        raise UserError(
            f"skipper: p = {p:g} is over the bound {max(bound, 0):.4g} = 100 (1 - {layers} spiking layers / {shortest} steps of "
            f"the shortest of {len(parts)} segments): lower p or take fewer segments"
        )


def affordable(steps: int, layers: int, p: float, graph_to_state: float) -> int:
    """The number of segments that needs least memory among those that keep to the bound on p."""
    kept = 1 - p / 100
    shortest = math.ceil(layers / kept) if p > 0 else 1
    return min(best_segments(steps, graph_to_state, kept), max(steps // shortest, 1))
