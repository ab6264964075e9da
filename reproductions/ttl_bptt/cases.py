"""What is measured for TTL-BPTT (Guo et al. 2023): the design space of truncation length K and block size b.

The abstract names AlexNet and CIFAR10-DVS and no layer, size, T, K or b. Cost is counted over assumed forms of the network and a
grid of (K, b); quality is measured on the grid of a small network, on images and on real events. On AlexNet it takes a GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.case import Case
from bench.design_space import Cell, setting

PAPER = "ttl_bptt"
BATCH = 64
NETWORKS = (
    "alexnet/cifar10-dvs-42",
    "alexnet/cifar10-dvs-48",
    "alexnet/cifar10-dvs-128",
    "alexnet-unpooled/cifar10-dvs-42",
    "alexnet-unpooled/cifar10-dvs-48",
    "vgg-sws/cifar10-dvs",
)
FIRST = NETWORKS[0]
LENGTHS = {10: (1, 2, 5, 10), 20: (1, 2, 5, 10, 20)}  # T: K
BLOCKS = (1, 2, 3, 4, 7)  # layers of neurons; 7 is the AlexNet's all
SEEDS = range(3)

Options = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Space:
    """A design space to train in: every K with every b, None for one block of all layers. The optimizer is Adam."""

    network: str
    dataset: str
    T: int
    batch: int
    epochs: int
    lr: float
    lengths: tuple[int, ...]
    blocks: tuple[int | None, ...]
    train: int | None = None  # samples to train on and to test on; None: all
    test: int | None = None
    scale: str = "laptop"

    @property
    def cells(self) -> list[Cell]:
        return [Cell(K, b) for K in self.lengths for b in self.blocks]

    def case(self, probe: str, cell: Cell, seed: int = 0, **options: object) -> Case:
        algorithm, own = setting(cell, self.T)
        dataset = "none" if probe == "cost" else self.dataset
        sorted_options = tuple(sorted({**own, **options}.items()))
        return Case(
            PAPER, probe, self.network, algorithm, "native", self.T, self.batch, dataset, self.scale, seed, sorted_options
        )


# Of 4 layers of neurons, and of a size to be trained in ten minutes on 2 cores, all seeds together.
ON_IMAGES = Space("ttl-small/cifar10", "cifar10", 4, 50, 3, 0.003, (1, 2, 4), (1, None), 4000, 1000)
ON_DIGITS = Space("ttl-small/digits", "digits", 4, 50, 3, 0.003, (1, 2, 4), (1, None), 1400, 300)
ON_EVENTS = Space("ttl-small/n-mnist", "n-mnist", 10, 25, 3, 0.002, (2, 5, 10), (1, 2, None), 1000, 100)
# At the assumed size, with an assumed recipe. Both are planned, for whether the first can be had is known only after gigabytes of
# download: ``--only training/cifar10-dvs-simulated/`` does without it.
AT_SIZE = tuple(
    Space(FIRST, dataset, 10, BATCH, 50, 0.001, LENGTHS[10], (1, 2, 3, 4, None), scale="full")
    for dataset in ("cifar10-dvs", "cifar10-dvs-simulated")
)


def cases(has: Callable[[str], bool]) -> list[Case]:
    spaces = [ON_IMAGES if has("cifar10") else ON_DIGITS, *([ON_EVENTS] if has("n-mnist") else [])]
    return [
        *_costs(),
        *_gates(),
        *_recordings(has),
        *(case for space in spaces for case in (*_costs_of_training(space), *_gradients(space), *_trainings(space))),
        *(case for space in AT_SIZE for case in (*_costs_of_training(space), *_trainings(space))),
    ]


def _costs() -> Iterator[Case]:
    """Every form with light and with heavy classifiers, light ones with both updates; the other choices on the first."""
    for network in NETWORKS:
        for T, lengths in LENGTHS.items():
            yield _cost(network, T, "bptt", ())
            for K in lengths:
                for b in BLOCKS:
                    yield _cost(network, T, "ttl-bptt", (("K", K), ("b", b)))
                    yield _cost(network, T, "ttl-bptt", (("K", K), ("b", b), ("classifier", "dense")))
                    if K < T:
                        yield _cost(network, T, "ttl-bptt", (("K", K), ("b", b), ("update", "end")))
    for classifier in ("conv", "fixed"):
        for K in LENGTHS[10]:
            for b in BLOCKS:
                yield _cost(FIRST, 10, "ttl-bptt", (("K", K), ("b", b), ("classifier", classifier)))


def _cost(network: str, T: int, algorithm: str, options: Options) -> Case:
    return Case(PAPER, "cost", network, algorithm, "native", T, BATCH, scale="laptop", options=options)


def _gates() -> Iterator[Case]:
    for backend in ("spikingjelly", "spikingjelly-multistep", "snntorch"):
        for algorithm, options in (("local", (("b", 1),)), ("ttl-bptt", (("K", 2), ("b", 1)))):
            yield Case(PAPER, "equivalence", ON_IMAGES.network, algorithm, backend, 4, 2, options=options)


def _recordings(has: Callable[[str], bool]) -> Iterator[Case]:
    """What events are like: real ones and, where their images are, simulated ones."""
    sources = (("n-mnist", "n-mnist", ON_EVENTS.network), ("cifar10", "cifar10-dvs-simulated", FIRST))
    for needed, dataset, network in sources:
        if has(needed):
            yield Case(PAPER, "events", network, "bptt", "native", 1, 1, dataset, options=(("train_images", 300),))


def _costs_of_training(space: Space) -> Iterator[Case]:
    """Of the training steps below: with Adam's state, unlike the costs above."""
    for cell in space.cells:
        yield space.case("cost", cell, optimizer="adam")


def _gradients(space: Space) -> Iterator[Case]:
    for cell in space.cells:
        if cell != Cell(space.T):
            yield space.case("gradient", cell)


def _trainings(space: Space) -> Iterator[Case]:
    """Every cell, each with the same seeds; seed by seed, so that what is finished is a whole grid."""
    settings = {"epochs": space.epochs, "lr": space.lr, "optimizer": "adam"}
    parts = {"test_images": space.test, "train_images": space.train}
    settings |= {name: count for name, count in parts.items() if count is not None}
    for seed in SEEDS:
        for cell in space.cells:
            yield space.case("training", cell, seed, **settings)
