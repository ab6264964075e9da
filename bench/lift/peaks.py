"""The formulas of bench/planning for the peak live bytes of a user's module, fitted to few counts without storage.

    BPTT and other algorithms that keep every step    lines through counts of SHORT time steps
    checkpointed                                      bench/planning/peaks.py
    Skipper                                           as checkpointed with segments of the kept steps' lengths
    algorithms whose graph does not grow with T       a line through three and six windows, or more steps

In the batch every peak is affine: what belongs to the weights, and the rest in proportion to the number of samples.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, prod
from typing import Any

from bench import algorithms
from bench.algorithms.checkpointed import segments_of
from bench.algorithms.segments import edges
from bench.algorithms.skipper import Options, best_allowed_segments
from bench.lift.counts import AsWritten, ByAlgorithm
from bench.lift.parts import OptionValues
from bench.lift.timing import Encoding
from bench.planning.peaks import ZERO, Peaks, lines_through
from bench.registry import ALGORITHMS

SHORT = (4, 8, 16)  # the first steps, from a state that is not yet there, differ

Peak = Callable[[int], float]  # T -> bytes


def as_written(counts: AsWritten, batch: int) -> Peak:
    """Return the peak of the module as written, as a function of T."""
    return lines_through([(T, counts.cost(T, batch).memory.total) for T in SHORT])


def by_algorithm(counts: ByAlgorithm, batch: int, options: OptionValues) -> Peak:
    """Return the peak of a training step by an algorithm, as a function of T."""
    algorithm = counts.algorithm
    chosen: Any = algorithms.load(algorithm).Options.named(algorithm, dict(options))

    def counted(T: int) -> tuple[int, float]:
        return T, counts.cost(T, batch, **options).memory.total

    match algorithm:
        case "checkpointed":
            peaks = peaks_of(counts, batch)
            return lambda T: peaks.checkpointed([end - begin for begin, end in segments_of(T, peaks.graph_to_state, chosen)])
        case "skipper":
            return _skipper(peaks_of(ByAlgorithm(counts.it, "checkpointed", counts.precision), batch), chosen)
    if ALGORITHMS[algorithm].memory == "grows with T":
        return lines_through([counted(T) for T in SHORT])
    few = max(6, 3 * getattr(chosen, "K", 1), getattr(chosen, "k", 1))  # the first window reads no state, the last leaves none
    return lines_through([counted(T) for T in (few, 2 * few)])


def peaks_of(counts: ByAlgorithm, batch: int) -> Peaks:
    """Count what the formulas of checkpointed BPTT need; ``counts`` are of the algorithm "checkpointed"."""
    net = counts.lifted(max(SHORT))
    _, state_of_one = net.graph_and_state
    frame = _bytes_of_input(counts.it.encoding, net.frame, batch, counts.it.x.element_size())
    state = batch * state_of_one

    def peak(*lengths: int) -> int:
        return counts.cost(sum(lengths), batch, lengths=list(lengths)).memory.total

    return Peaks(
        input=frame,
        state=state,
        spikes=0.0,
        graph=lines_through([(K, peak(K) - K * frame) for K in SHORT]),
        middle=lines_through([(K, peak(K, K, 1) - (2 * K + 1) * frame - state) for K in SHORT]),
        replayed=ZERO,
        invertible_steps=0.0,
        can_replay=False,
        layers=len(net.neurons()),
        graph_to_state=net.graph_to_state,
    )


def _skipper(peaks: Peaks, options: Options) -> Peak:
    share = 1 - options.p / 100

    def peak(T: int) -> float:
        C = options.segments or best_allowed_segments(T, peaks.layers, options.p, peaks.graph_to_state)
        kept = [ceil(share * (end - begin)) for begin, end in edges(T, min(C, T))]
        return T * peaks.input + max(i * peaks.state + peaks.middle(K) for i, K in enumerate(kept))

    return peak


def _bytes_of_input(encoding: Encoding, frame: tuple[int, ...], batch: int, itemsize: int) -> int:
    """Return the bytes of one time step of the input; an image that is repeated takes none."""
    return itemsize * batch * prod(frame) if encoding == "frames" else 0
