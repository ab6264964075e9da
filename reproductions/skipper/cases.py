"""What is measured for Skipper (Singh et al., MICRO 2022): the cost of its training step on five assumed workloads.

The abstract names no network, data set, T, batch, p or number of segments: all of them are assumed (bench/networks/hybrid.py,
lenet.py). The number of segments is the one that needs least memory within the bound on p; p is varied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.spec import Case

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
SKIPPED = (25, 50, 70)  # per cent of the steps
MEMORY_FIGURE_T = (10, 20, 50, 100, 200, 400, 1000)
Options = tuple[tuple[str, int | str], ...]
TIMED: tuple[tuple[str, Options], ...] = (("bptt", ()), ("checkpointed", ()), ("skipper", (("p", 50),)))
RIVALS: tuple[tuple[str, Options], ...] = (
    *TIMED,
    ("checkpointed", (("lengths", "falling"),)),
    ("tbptt", (("K", 10),)),
    ("sltt", ()),
)


def cases(has: Callable[[str], bool]) -> list[Case]:
    return [*_costs(), *_clocks()]


def _costs() -> Iterator[Case]:
    for network, T in WORKLOADS:
        for algorithm, options in RIVALS:
            yield _cost(network, algorithm, T, options, "laptop")
        for p in SKIPPED:
            yield _cost(network, "skipper", T, (("p", p),), "laptop")
    for network in ("vgg5/cifar10", "vgg11/cifar100"):
        for algorithm, options in RIVALS:
            for T in MEMORY_FIGURE_T if network == "vgg5/cifar10" else (100, 400, 1000):
                yield _cost(network, algorithm, T, options, "smoke" if T <= 20 else "laptop")


def _cost(network: str, algorithm: str, T: int, options: Options, scale: str) -> Case:
    return Case(PAPER, "cost", network, algorithm, "native", T, BATCH, scale=scale, options=options)


def _clocks() -> Iterator[Case]:
    """Seconds a step at the assumed sizes; they need a GPU to be finished in reasonable time and to mean what the paper means."""
    for network, T in WORKLOADS:
        for algorithm, options in TIMED:
            yield Case(PAPER, "clock", network, algorithm, "native", T, BATCH, scale="full", options=options)
