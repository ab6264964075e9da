"""What is measured for OTPE (Summe, Schaefer, Joshi 2023): its rules on dense networks, on Randman in both codes.

SHD is not at hand: its networks are counted, its accuracies are planned at scale "full". Trainings use the offline adjoint of the
rules, which gives the same gradient as their traces at BPTT's cost (bench/algorithms/dense_traces.py); costs are those of the
traces. Where several seeds are run each has manifolds of its own, because the authors' are of another generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.case import Case

PAPER = "otpe"

RULES = ("ottt-dense", "approximate-otpe", "ostl", "otpe")
SMALL, MAIN, DEEP = "otpe-3x128/randman-k25", "otpe-3x256/randman-k10", "otpe-5x128/randman-k25"
SHD = "otpe-3x512/shd-k25"
COUNTED = (SMALL, MAIN, DEEP, "otpe-3x128/shd-k10", "otpe-3x128/shd-k25", "otpe-3x384/shd-k10", "otpe-3x512/shd-k10", SHD)
CODES = ("randman-rate", "randman-time")
T, BATCH = 50, 128
MEMORY_T = (2, 5, 10, 20, 30, 40, 50, 75, 100, 150)
EVEN_T = {SMALL: (74, 75), MAIN: (126, 127), SHD: (486, 487)}  # the last T at which OTPE holds more than BPTT, and the next one


def cases(has: Callable[[str], bool]) -> list[Case]:
    return [*_counts(), *_costs(), *_gates(), *_alignments(), *_short_trainings(), *_night(), *_full()]


def _counts() -> Iterator[Case]:
    for network in COUNTED:
        yield Case(PAPER, "count", network, "bptt", "native", T=1, batch=1, scale="smoke")


def _costs() -> Iterator[Case]:
    for algorithm in ("bptt", *RULES):
        for steps in MEMORY_T:
            scale = "smoke" if steps in (2, T) else "laptop"
            yield Case(PAPER, "cost", MAIN, algorithm, "native", steps, BATCH, scale=scale)
        yield Case(PAPER, "cost", MAIN, algorithm, "snntorch", T, BATCH)
    for network, even in EVEN_T.items():
        for algorithm in ("bptt", "otpe"):
            for steps in even:
                yield Case(PAPER, "cost", network, algorithm, "native", steps, BATCH)
        for algorithm in ("bptt", *RULES):
            yield Case(PAPER, "cost", network, algorithm, "native", T, BATCH)


def _gates() -> Iterator[Case]:
    """SpikingJelly has no surrogate of this form: these networks run on the others alone."""
    yield Case(PAPER, "equivalence", MAIN, "bptt", "snntorch", T=3, batch=2, scale="smoke")


def _alignments() -> Iterator[Case]:
    """The rules at BPTT's weights, along 300 batches of its training; five layers in rate code, where all layers fire.

    Seed k draws the initial weights and the order of samples, on manifolds of their own.
    """
    for network, code in ((SMALL, CODES[0]), (SMALL, CODES[1]), (DEEP, CODES[0])):
        for algorithm in RULES:
            for seed in range(3):
                yield _alignment(network, algorithm, manifolds(code, seed), seed, "laptop", after_batches=300, every=100)
    yield _alignment(SMALL, "otpe", CODES[0], 0, "smoke", after_batches=10)


def _alignment(network: str, algorithm: str, dataset: str, seed: int, scale: str, **moments: int) -> Case:
    options = _sorted(alpha=0.0, batches=2, form="adjoint", lr=0.001, optimizer="adamax", **moments)
    return Case(PAPER, "alignment", network, algorithm, "native", T, 64, dataset, scale, seed, options)


def _short_trainings() -> Iterator[Case]:
    """150 batches in the place of 5,000, three seeds, each on manifolds of its own."""
    for code in CODES:
        for algorithm in ("bptt", *RULES):
            for seed in range(3):
                size = {"train_images": 150 * BATCH, "test_images": 2000}
                yield _training(manifolds(code, seed), algorithm, seed, "laptop", **size)
    yield _training(CODES[0], "otpe", 0, "smoke", train_images=10 * BATCH, test_images=200)


def _night() -> Iterator[Case]:
    """5,000 batches, each sample seen once: four seeds, each on manifolds of its own, the most telling cases first.

    Then three more seeds of BPTT and OTPE on the first manifolds: the authors' four seeds share one.
    """
    for seed in range(4):
        for code in CODES:
            for algorithm in ("bptt", *RULES):
                yield _training(manifolds(code, seed), algorithm, seed, "night")
    for seed in (4, 5, 6):
        for code in CODES:
            for algorithm in ("bptt", "otpe"):
                yield _training(code, algorithm, seed, "night")


def _full() -> Iterator[Case]:
    """SHD, for machines that have it: about 10,000 batches (64 an epoch), of the short one 5,000; a GPU is advised."""
    offline = (("otpe-3x512/shd-k25", 50, 157, 4), ("otpe-3x384/shd-k10", 50, 157, 4), ("otpe-3x128/shd-k10", 20, 79, 5))
    for network, steps, epochs, seeds in offline:
        for algorithm in ("bptt", *RULES):
            for seed in range(seeds):
                form = {} if algorithm == "bptt" else {"form": "adjoint"}
                yield _shd(network, algorithm, steps, seed, epochs=epochs, lr=0.001, **form)
    online = (*((algorithm, {}) for algorithm in RULES), ("approximate-otpe", {"front": True}), ("otpe", {"front": True}))
    for algorithm, front in online:
        for seed in range(4):
            yield _shd("otpe-3x128/shd-k25", algorithm, T, seed, epochs=157, lr=0.00025, update="step", **front)


def _shd(network: str, algorithm: str, steps: int, seed: int, **own: object) -> Case:
    options = _sorted(alpha=0.0, optimizer="adamax", **own)
    return Case(PAPER, "training", network, algorithm, "native", steps, BATCH, "shd", "full", seed, options)


def manifolds(code: str, seed: int) -> str:
    """The data set of this code whose manifolds have this seed."""
    return f"{code}-{seed}" if seed else code


def _training(dataset: str, algorithm: str, seed: int, scale: str, **part: object) -> Case:
    form = {} if algorithm == "bptt" else {"form": "adjoint"}
    options = _sorted(alpha=0.0, epochs=1, lr=0.001, optimizer="adamax", **form, **part)
    return Case(PAPER, "training", MAIN, algorithm, "native", T, BATCH, dataset, scale, seed, options)


def _sorted(**options: object) -> tuple[tuple[str, object], ...]:
    return tuple(sorted(options.items()))
