"""Skipper: checkpointed BPTT that skips the time steps of least activity (Singh et al., MICRO 2022).

Only the paper's abstract is available. The definition is reconstructed from it; each choice it leaves open is an option.

    first pass, no graph:     v[i+1] = F_i(v[i], x);   a[t] = spikes of all neurons and all samples of the batch at step t
    kept steps:               the ceil((1 - p/100) K[i]) most active of segment i; of equally active ones the earlier
    second pass, i = C-1..0:  recompute the kept steps alone, with a graph, from v[i];
                              backward of (loss of the kept steps) + <end state, dL/d(end state)>

p = 0 is checkpointing. A segment must keep at least as many steps as there are layers of neurons L_n, the number that a spike
needs to pass them all:  p <= 100 (1 - L_n / min K).

    per       "segment": p % of each segment are skipped;  "sequence": p % of the sequence, but L_n steps per segment are kept
    loss      "kept": the loss terms of the kept steps;  "rescaled": these times T / kept, to the scale of the whole loss
    skipped   "frozen": the state passes skipped steps unchanged;  "leak": membrane potentials decay through them
    last      "skippable": like any other step;  "kept": the last step of a segment, which gives the next state, is always kept
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import ModuleType

import torch
from torch import Tensor, nn

from bench.algorithms.context import StepContext
from bench.algorithms.segments import (
    backward_through,
    best_segments,
    edges,
    second_pass,
)
from bench.errors import YES, Support, UserError, no
from bench.nets.build import Network
from bench.nets.layers import State, leak, shallow
from bench.nets.rerun import Randomness
from bench.options import Declared, one_of, per_cent, whole
from bench.spec import NetworkSpec

in_windows = True


@dataclass(frozen=True)
class Options(Declared):
    segments: int = whole(0, least=0, meaning="number of segments; 0 chooses the number with least memory")
    p: float = per_cent(50, below=100, meaning="per cent of the time steps that are skipped: 50 is half of them")
    per: str = one_of("segment", ("segment", "sequence"), meaning="steps among which the least active are chosen")
    loss: str = one_of("kept", ("kept", "rescaled"), meaning="weight of the loss of the kept steps")
    skipped: str = one_of("frozen", ("frozen", "leak"), meaning="what happens to the state in skipped steps")
    last: str = one_of("skippable", ("skippable", "kept"), meaning="whether a segment's last step may be skipped")

    def suits(self, spec: NetworkSpec, T: int) -> None:
        _check_bound(edges(T, self.segments or 1), spec.neuron_layers, self.p)  # one segment allows the largest p


def supports(spec: NetworkSpec) -> Support:
    return YES


def runs_on(backend: ModuleType, spec: NetworkSpec, options: Options) -> Support:
    """Return whether the state after skipped steps is defined."""
    other = spec.beyond_lif
    if options.skipped == "leak" and other is not None:
        return no(f"skipped = leak is stated for LIF neurons of a fixed decay, and this network has {other.words}: use frozen")
    return YES


def prepare(net: Network, options: Options) -> Network:
    _ = net.graph_to_state  # measured now, so that it is not observed as a part of a training step
    return net


def train_step(net: Network, x: Tensor, context: StepContext, options: Options) -> Tensor:
    steps, p = x.shape[0], options.p
    parts = segments_of(net, steps, options)
    starts: list[State] = [net.initial_state(x.shape[1])]
    random: list[Randomness] = []
    outs: list[Tensor] = []
    with torch.no_grad(), activity(net) as spikes:
        for begin, end in parts:
            random.append(Randomness(x.device))
            state = shallow(starts[-1])
            for window in x[begin:end].split(math.ceil((1 - p / 100) * (end - begin))):  # as long as in the second pass
                out, state = net.window(window, state)
                outs.append(out.sum(0))
            starts.append(state)
    del out, state, starts[-1]  # not needed after the last segment
    kept = kept_steps(spikes(), parts, len(net.neurons()), options)
    weight = steps / sum(map(len, kept)) if options.loss == "rescaled" else 1.0
    gradient: list[Tensor | None] = []
    for i in reversed(range(len(parts))):
        run = partial(_run_kept, net, x, parts[i], kept[i], options.skipped)
        with random[i].repeated(), second_pass(net, context.watcher):
            _, gradient = backward_through(run, starts.pop(), lambda out: weight * context.loss(out), gradient)
    context.update()
    return torch.stack(outs).sum(0)


def segments_of(net: Network, steps: int, options: Options) -> list[tuple[int, int]]:
    """Return the half-open ranges of time steps of all segments. Raises UserError if p exceeds their bound."""
    layers = len(net.neurons())
    parts = edges(steps, options.segments or best_allowed_segments(steps, layers, options.p, net.graph_to_state))
    _check_bound(parts, layers, options.p)
    return parts


def _run_kept(
    net: Network, x: Tensor, part: tuple[int, int], kept: list[int], skipped: str, state: State
) -> tuple[Tensor, State]:
    begin, end = part
    if len(kept) == end - begin:
        return net.window(x[begin:end], state)
    if skipped == "frozen":
        return net.window(x[kept], state)
    outs, reached = [], begin
    for t in kept:
        out, state = net.window(x[t : t + 1], leak(net.body, state, t - reached))
        outs.append(out)
        reached = t + 1
    return torch.cat(outs), leak(net.body, state, end - reached)


@contextmanager
def activity(net: Network) -> Iterator[Callable[[], Tensor]]:
    """In this context, count spikes before dropout; the yielded function returns the number per time step so far, float64 [t]."""
    neurons = [layer.neurons for layer in net.neurons()]
    seen: dict[int, list[Tensor]] = {id(module): [] for module in neurons}

    def note(module: nn.Module, inputs: object, output: tuple[Tensor, Tensor]) -> None:
        seen[id(module)].append(output[0].detach().flatten(1).sum(1, dtype=torch.float64))

    hooks = [module.register_forward_hook(note) for module in neurons]
    try:
        yield lambda: torch.stack([torch.cat(steps) for steps in seen.values()]).sum(0)
    finally:
        for hook in hooks:
            hook.remove()


def kept_steps(spikes: Tensor, parts: list[tuple[int, int]], layers: int, options: Options) -> list[list[int]]:
    """Return the kept time steps of every segment, ascending. ``spikes`` [T]; on device 'meta' (no values) the first ones."""
    p = options.p
    counts = [math.ceil((1 - p / 100) * (end - begin)) for begin, end in parts]
    if spikes.device.type == "meta":
        return [list(range(begin, begin + count)) for (begin, _), count in zip(parts, counts, strict=True)]
    always_kept = {end - 1 for _, end in parts} if options.last == "kept" else set()
    ranked = sorted(range(len(spikes)), key=lambda t: (t not in always_kept, -float(spikes[t]), t))
    if options.per == "sequence":
        most = set(ranked[: math.ceil((1 - p / 100) * len(ranked))])
        counts = [max(layers, sum(t in most for t in range(*part))) for part in parts]
    by_segment = [[t for t in ranked if begin <= t < end] for begin, end in parts]
    return [sorted(steps[:count]) for steps, count in zip(by_segment, counts, strict=True)]


def _check_bound(parts: list[tuple[int, int]], layers: int, p: float) -> None:
    shortest = min(end - begin for begin, end in parts)
    bound = 100 * (1 - layers / shortest)
    if p > 0 and p > bound:
        raise UserError(
            f"skipper: p = {p:g} is over the bound {max(bound, 0):.4g} = 100 (1 - {layers} layers of neurons / {shortest} steps "
            f"of the shortest of {len(parts)} segments): lower p or take fewer segments"
        )


def best_allowed_segments(steps: int, layers: int, p: float, graph_to_state: float) -> int:
    """Return the number of segments that needs least memory among those that satisfy the bound on p."""
    kept = 1 - p / 100
    shortest = math.ceil(layers / kept) if p > 0 else 1
    return min(best_segments(steps, graph_to_state, kept), max(steps // shortest, 1))
