"""What is measured for OTPE (Summe, Schaefer, Joshi 2023): its rules on dense networks, on Randman in both codes.

SHD is in no data set of this suite: its networks are counted, its accuracies wait. Trainings use the offline adjoint of the
rules, which gives the same gradient as their traces at BPTT's cost (bench/algorithms/dense_traces.py); costs are those of the
traces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bench.case import Case

PAPER = "otpe"

RULES = ("ottt-dense", "approximate-otpe", "ostl", "otpe")
SMALL, MAIN, DEEP = "otpe-3x128/randman-k25", "otpe-3x256/randman-k10", "otpe-5x128/randman-k25"
SHD = "otpe-3x512/shd-k25"
COUNTED = (SMALL, MAIN, DEEP, "otpe-3x128/shd-k10", "otpe-3x128/shd-k25", "otpe-3x384/shd-k10", "otpe-3x512/shd-k10", SHD)
CODES = ("randman-rate", "randman-time")
T, BATCH = 50, 128
MEMORY_T = (2, 5, 10, 20, 30, 40, 50, 75, 100, 150)
BEYOND_T = {SMALL: (80, 90), MAIN: (140, 160), SHD: (450, 460)}  # near the T at which BPTT holds as much as OTPE


def cases(has: Callable[[str], bool]) -> list[Case]:
    return [*_counts(), *_costs(), *_gates(), *_gradients(), *_short_trainings(), *_full()]


def _counts() -> Iterator[Case]:
    for network in COUNTED:
        yield Case(PAPER, "count", network, "bptt", "native", T=1, batch=1, scale="smoke")


def _costs() -> Iterator[Case]:
    for algorithm in ("bptt", *RULES):
        for steps in MEMORY_T:
            scale = "smoke" if steps in (2, T) else "laptop"
            yield Case(PAPER, "cost", MAIN, algorithm, "native", steps, BATCH, scale=scale)
        yield Case(PAPER, "cost", MAIN, algorithm, "snntorch", T, BATCH)
    for network, beyond in BEYOND_T.items():
        for steps in (T, *beyond):
            yield Case(PAPER, "cost", network, "bptt", "native", steps, BATCH)
        for algorithm in RULES:
            yield Case(PAPER, "cost", network, algorithm, "native", T, BATCH)


def _gates() -> Iterator[Case]:
    """SpikingJelly has no surrogate of this form: these networks run on the others alone."""
    yield Case(PAPER, "equivalence", MAIN, "bptt", "snntorch", T=3, batch=2, scale="smoke")


def _gradients() -> Iterator[Case]:
    """At the initial weights and after a short training by the rule itself; five layers in rate code, where all layers fire."""
    settings = ((SMALL, CODES[0]), (SMALL, CODES[1]), (DEEP, CODES[0]))
    trained = (("after_batches", 50), ("lr", 0.001), ("optimizer", "adamax"))
    for network, dataset in settings:
        for algorithm in RULES:
            for seed in range(3):
                for before in ((), trained) if network == SMALL else ((),):
                    options = _sorted(alpha=0.0, form="adjoint", **dict(before))
                    yield Case(PAPER, "gradient", network, algorithm, "native", T, 64, dataset, seed=seed, options=options)


def _short_trainings() -> Iterator[Case]:
    """150 batches in the place of 5,000, three seeds."""
    for dataset in CODES:
        for algorithm in ("bptt", *RULES):
            for seed in range(3):
                size = {"train_images": 150 * BATCH, "test_images": 2000}
                yield _training(dataset, algorithm, seed, "laptop", **size)
    yield _training(CODES[0], "otpe", 0, "smoke", train_images=10 * BATCH, test_images=200)


def _full() -> Iterator[Case]:
    """5,000 batches, each sample seen once, four seeds; hours on a CPU."""
    for dataset in CODES:
        for algorithm in ("bptt", *RULES):
            for seed in range(4):
                yield _training(dataset, algorithm, seed, "full")


def _training(dataset: str, algorithm: str, seed: int, scale: str, **part: Any) -> Case:
    form = {} if algorithm == "bptt" else {"form": "adjoint"}
    options = _sorted(alpha=0.0, epochs=1, lr=0.001, optimizer="adamax", **form, **part)
    return Case(PAPER, "training", MAIN, algorithm, "native", T, BATCH, dataset, scale, seed, options)


def _sorted(**options: Any) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(options.items()))
