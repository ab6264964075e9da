"""The cheapest exact training step within a budget: the memory of a card, less a headroom.

All schedules back-propagate through all T steps once. Their cost beyond BPTT is the number of time steps that are recomputed:

    BPTT                 none           if all T steps fit
    segments             T - K[C-1]     the fewest that cover T, each as long as fits beside the states kept at that time
    one-bit replay       T - K          the longest window that fits

exact.py proposes schedules by formula, and each is then counted: the ``peak`` of a plan is a count, and at most the bytes that
bench/overhead.py allows for live tensors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.counting.any_step import Cost
from bench.errors import UserError
from bench.overhead import HEADROOM, usable
from bench.planning.exact import Exact, exact_of
from bench.planning.longest import counted, largest


@dataclass(frozen=True)
class Schedule:
    """A training step with exact gradients: ``training_step(network, algorithm, "native", **options)``."""

    algorithm: str
    options: dict[str, object]
    recomputed: int  # time steps


@dataclass(frozen=True)
class Plan:
    """A schedule with its counted cost: peak live bytes, and multiply-accumulates relative to BPTT."""

    schedule: Schedule
    peak: int
    macs_ratio: float


def schedules(exact: Exact, T: int, live: float) -> Iterator[Schedule]:
    """Yield the schedules that fit by formula, at most one of each kind; one-bit replay last."""
    if exact.bptt(T) <= live:
        yield Schedule("bptt", {}, 0)
    lengths = segments_within(exact, T, live)
    if len(lengths) > 1:
        yield Schedule("checkpointed", {"lengths": lengths}, T - lengths[-1])
    if exact.replayed is not None:
        K = largest(lambda K: exact.replay(T, K), live, T)
        if K > 0:
            yield Schedule("replay", {"K": K}, T - K)


def segments_within(exact: Exact, T: int, live: float) -> list[int]:
    """Return the fewest segments that cover T steps, the last (not recomputed) as long as possible; [] if none fit."""
    if exact.bptt(T) <= live:
        return [T]
    free = live - T * exact.input
    earlier: list[int] = []
    while True:
        last = exact.longest("G", free - len(earlier) * exact.state, T)
        if last < 1:
            return []
        if sum(earlier) + last >= T:
            break
        longest = exact.longest("M", free - len(earlier) * exact.state, T)
        if longest < 1:
            return []
        earlier.append(longest)
    left = T - last
    lengths = []
    for longest in earlier:
        lengths.append(min(longest, left))
        left -= lengths[-1]
    return [*(length for length in lengths if length), last]


def cheapest(network: str, T: int, batch: int, budget: float, headroom: float = HEADROOM) -> Plan:
    """Return the plan for a card of ``budget`` bytes, with ``headroom`` bytes not available to live tensors (native backend).

    It has the fewest recomputed steps; of equal ones, checkpointing is preferred. If nothing fits, raises UserError that states
    the least memory needed.
    """
    live = usable(budget, headroom)
    exact = exact_of(network, batch)
    allowed = live
    while True:
        schedule = min(schedules(exact, T, allowed), key=lambda schedule: schedule.recomputed, default=None)
        if schedule is None:
            raise UserError(
                f"{network} with T = {T}, batch {batch} does not fit with exact gradients: about {_mib(least(exact, T))} of live "
                f"tensors are needed, and a budget of {_mib(budget)} less {_mib(headroom)} of headroom leaves {_mib(live)}. "
                "Raise the budget, lower the headroom, T or the batch, or take an approximation (truncated BPTT, SLTT)"
            )
        cost = counted(network, schedule.algorithm, T, batch, schedule.options)
        if cost.memory.total <= live:
            first, second = (_dense_macs(counted(network, "bptt", steps, batch, {})) for steps in (1, 2))
            bptt = first + (T - 1) * (second - first)  # all steps but the first have equal cost
            return Plan(schedule, cost.memory.total, _dense_macs(cost) / bptt)
        allowed *= min(live / cost.memory.total, 0.999)  # the formula was slightly too low


def _mib(size: float) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _dense_macs(cost: Cost) -> int:
    return sum(cost.macs.dense.values())


def least(exact: Exact, T: int) -> float:
    """Return the bytes of the smallest schedule, by formula."""
    low, high = 0.0, exact.bptt(T)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if segments_within(exact, T, middle) else (middle, high)
    return min(high, exact.replay(T, 1)) if exact.replayed is not None else high
