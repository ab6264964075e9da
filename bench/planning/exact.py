"""The formulas of exact training for one network and batch on the native backend: BPTT, checkpointed BPTT and one-bit replay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from bench import zoo
from bench.algorithms import replay
from bench.planning.coefficients import OfCatalogue, formula
from bench.planning.formulas import Formula


@dataclass(frozen=True)
class Exact:
    """Peak live bytes of schedules with exact gradients. ``replayed`` is None if one-bit replay cannot train the network."""

    segments: Formula
    replayed: Formula | None
    batch: int

    @property
    def input(self) -> int:
        """Bytes of the input of one step."""
        return self.segments.sizes.input * self.batch

    @property
    def state(self) -> float:
        """Bytes of a state."""
        return self.segments.sizes.state * self.batch

    def bptt(self, T: int) -> float:
        return self.checkpointed([T])

    def checkpointed(self, lengths: Sequence[int]) -> float:
        return self.segments.peak(lengths, self.batch)

    def replay(self, T: int, K: int) -> float:
        """``K``: steps of the window that is kept."""
        assert self.replayed is not None
        return self.replayed.peak([T - K, K] if K < T else [T], self.batch)

    def longest(self, piece: str, need: float, most: int) -> int:
        """Return the largest K in 0..most with M(K), or G(K), <= need; they grow with K."""
        low, high = 0, most + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.segments.at(piece, middle, self.batch) <= need else (low, middle)
        return low


@cache
def exact_of(network: str, batch: int) -> Exact:
    """Count what the formulas need; about a second."""
    counting = OfCatalogue(network, "checkpointed", "native", at=batch)
    replayed = formula(counting.by("replay")) if replay.supports(zoo.spec(network)) else None
    return Exact(formula(counting), replayed, batch)
