"""What is measured for Skipper (Singh et al., MICRO 2022), beside every algorithm that a user could take instead.

The abstract names no network, data set, T, batch, p or number of segments: all of them are assumed (vgg5.py and lenet.py in
bench/zoo). Cost is counted at the assumed size; quality and seconds are measured on small networks and real data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isqrt
from typing import Any

from bench.case import Case

PAPER = "skipper"
BATCH = 64

# network, T: assumed
WORKLOADS = (
    ("vgg5/cifar10", 100),
    ("vgg11/cifar100", 125),
    ("resnet20/cifar10", 250),
    ("lenet/dvs-gesture", 400),
    ("custom/n-mnist", 300),
)
FIRST, FIRST_T = WORKLOADS[0]
SHALLOW = (WORKLOADS[0], *WORKLOADS[3:])  # half of T / sqrt(T) steps are enough for a spike to pass all their layers
SKIPPED = (25, 50, 70)  # per cent of the steps
MEMORY_FIGURE_T = (10, 20, 50, 100, 200, 400, 1000)
BATCHES = (1, 4, 16, 128, 256)

Options = tuple[tuple[str, object], ...]
Row = tuple[str, Options]
BPTT: Row = ("bptt", ())
EVEN: Row = ("checkpointed", ())
FALLING: Row = ("checkpointed", (("lengths", "falling"),))
REPLAY: Row = ("replay", ())
SKIPPER: Row = ("skipper", (("p", 50),))
TBPTT: Row = ("tbptt", (("K", 10),))
SLTT: Row = ("sltt", ())
RIVALS = (BPTT, EVEN, FALLING, REPLAY, SKIPPER, TBPTT, SLTT)
# The other papers' algorithms, on the first network alone: there README compares all of them (bench/front.py).
OTHER_PAPERS: tuple[Row, ...] = (("ottt-a", ()), ("ttl-bptt", (("K", 10), ("b", 1))))

MODES = ("native-fast", "native-balanced", "native-small")

# backend, what runs on it: our algorithms on the frameworks' neurons, and what the frameworks ship themselves
FRAMEWORKS: tuple[tuple[str, Row], ...] = (
    *(
        (backend, row)
        for backend in ("spikingjelly", "spikingjelly-multistep", "snntorch")
        for row in (BPTT, EVEN, SKIPPER, TBPTT)
    ),
    ("spikingjelly-memopt", ("bptt", (("level", 0),))),
    ("spikingjelly-memopt", ("bptt", (("level", 1),))),
    ("snntorch-shipped", TBPTT),
)


def cases(has: Callable[[str], bool]) -> list[Case]:
    return [*_costs(), *_longest(), *_gates(), *_on_data(has), *_clocks(), *_full()]


def _case(probe: str, network: str, row: Row, T: int, batch: int = BATCH, backend: str = "native", **more: Any) -> Case:
    algorithm, options = row
    return Case(PAPER, probe, network, algorithm, backend, T, batch, options=options, **more)


def _costs() -> Iterator[Case]:
    for network, T in WORKLOADS:
        for row in RIVALS:
            yield _case("cost", network, row, T)
        for p in SKIPPED:
            yield _case("cost", network, ("skipper", (("p", p),)), T)
    for network, T in SHALLOW:
        yield _case("cost", network, ("skipper", (("p", 50), ("segments", isqrt(T)))), T)
    for network in (FIRST, "vgg11/cifar100"):
        for row in RIVALS:
            for T in MEMORY_FIGURE_T if network == FIRST else (100, 400, 1000):
                if T <= 400 or row != REPLAY:  # whose T steps are run one by one: the formula is exact there (tests/unit)
                    yield _case("cost", network, row, T, scale="smoke" if T <= 20 else "laptop")
    for row in OTHER_PAPERS:
        for T in MEMORY_FIGURE_T:
            yield _case("cost", FIRST, row, T, scale="smoke" if T <= 20 else "laptop")
    for row in RIVALS:
        for batch in BATCHES:
            yield _case("cost", FIRST, row, FIRST_T, batch)
    for backend, row in FRAMEWORKS:
        yield _case("cost", FIRST, row, FIRST_T, backend=backend)
    for mode in MODES:
        yield _case("cost", FIRST, BPTT, FIRST_T, backend=mode)


def _longest() -> Iterator[Case]:
    for network, T in WORKLOADS:
        for row in RIVALS:
            yield _case("longest", network, row, T)


def _gates() -> Iterator[Case]:
    for backend in dict.fromkeys(backend for backend, row in FRAMEWORKS if not backend.endswith("shipped")):
        yield _case("equivalence", FIRST, BPTT, 3, 2, backend)
        yield _case("equivalence", "custom/n-mnist", BPTT, 3, 2, backend)
    for mode in MODES:
        for network in (FIRST, "resnet20/cifar10"):
            yield _case("equivalence", network, BPTT, 3, 2, mode)


def _on_data(has: Callable[[str], bool]) -> Iterator[Case]:
    """Gradient, activity and short trainings on a real event set and a real image set; without CIFAR-10 the digits are used."""
    images = "cifar10" if has("cifar10") else "digits"
    yield from _quality("vgg5-small/" + images, images, T=40, batch=32, segments=(1, 2, 4))
    schedule = (2000, 500, 3) if images == "cifar10" else (1000, 360, 3)
    yield from _trainings("vgg5-small/" + images, images, 1e-3, schedule, segments=(2,))
    if has("n-mnist"):
        yield from _quality("custom/n-mnist", "n-mnist", T=60, batch=32, segments=(1, 2, 4, 8))
        yield from _trainings("custom/n-mnist", "n-mnist", 3e-3, (500, 100, 2), segments=(2, 4))


def _quality(network: str, dataset: str, T: int, batch: int, segments: tuple[int, ...]) -> Iterator[Case]:
    for C in segments:
        for p in (10, 25, 50, 75):
            if (T // C) * (100 - p) >= 100 * _LAYERS[dataset]:
                yield _case("gradient", network, _skipper(C, p), T, batch, dataset=dataset)
    choices = (("per", "sequence"), ("loss", "rescaled"), ("skipped", "leak"), ("last", "kept"))
    for choice in choices:
        yield _case("gradient", network, _skipper(2, 50, choice), T, batch, dataset=dataset)
    for row in (EVEN, FALLING, REPLAY, TBPTT, SLTT):
        yield _case("gradient", network, row, T, batch, dataset=dataset)
    for p in (25, 50, 75):
        yield _case("activity", network, _skipper(2, p), T, batch, dataset=dataset)
    for row in (BPTT, EVEN, FALLING, REPLAY, TBPTT, SLTT, *(_skipper(2, p) for p in (25, 50, 75))):
        yield _case("cost", network, row, T, batch)


_LAYERS = {"cifar10": 4, "digits": 4, "n-mnist": 2}  # of neurons, in the networks above: a segment keeps as many steps


def _skipper(segments: int, p: int, *more: tuple[str, object]) -> Row:
    return "skipper", tuple(sorted((("p", p), ("segments", segments), *more)))


def _trainings(
    network: str, dataset: str, lr: float, schedule: tuple[int, int, int], segments: tuple[int, ...]
) -> Iterator[Case]:
    train, test, epochs = schedule
    settings = {"epochs": epochs, "lr": lr, "optimizer": "adam", "test_images": test, "train_images": train}
    skipping = (_skipper(C, p) for C in segments for p in (25, 50))
    for algorithm, options in (BPTT, REPLAY, ("tbptt", (("K", 5),)), SLTT, *skipping):
        row = (algorithm, tuple(sorted({**settings, **dict(options)}.items())))
        yield _case("training", network, row, 20, 25, dataset=dataset)


def _clocks() -> Iterator[Case]:
    """Seconds over native BPTT's: here at a laptop's size, and on a GPU at the assumed sizes, which is what the paper means."""
    for row in (EVEN, FALLING, REPLAY, ("replay", (("K", 10),)), SKIPPER, TBPTT, SLTT):
        yield _case("clock", "custom/n-mnist", row, 50, 8)
        yield _case("cost", "custom/n-mnist", row, 50, 8)
    yield _case("cost", "custom/n-mnist", BPTT, 50, 8)
    for network, T in WORKLOADS:
        for row in (BPTT, EVEN, SKIPPER):
            yield _case("clock", network, row, T, scale="full")


def _full() -> Iterator[Case]:
    """What a GPU adds: the allocator's own peaks at the assumed sizes."""
    for network, T in WORKLOADS:
        for row in (*RIVALS, *(("skipper", (("p", p),)) for p in SKIPPED if p != 50)):
            yield _case("cuda-memory", network, row, T, scale="full")
    for network, T in SHALLOW:
        yield _case("cuda-memory", network, ("skipper", (("p", 50), ("segments", isqrt(T)))), T, scale="full")
    for network in (FIRST, "vgg11/cifar100"):
        for row, T in ((BPTT, 100), (SKIPPER, 1000)):
            yield _case("cuda-memory", network, row, T, scale="full")
