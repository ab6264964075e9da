"""What is measured for TTL-BPTT (Guo et al. 2023): the design space of truncation length K and block size b.

The abstract names AlexNet and CIFAR10-DVS and no layer, size, T, K or b. Cost is counted over assumed forms of the network and a
grid of (K, b); quality is measured on small networks, on images and on real events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from bench.spec import Case

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
CLASSIFIERS = ("dense", "conv", "fixed")

Options = tuple[tuple[str, Any], ...]


# network, data set, T, batch, epochs, images to train on, images to test on, learning rate (Adam), truncation length
ON_IMAGES = ("ttl-small/cifar10", "cifar10", 4, 50, 3, 4000, 1000, 0.003, 1)
ON_DIGITS = ("ttl-small/digits", "digits", 4, 50, 3, 1400, 300, 0.003, 1)
ON_EVENTS = ("ttl-small/n-mnist", "n-mnist", 10, 25, 3, 1000, 100, 0.002, 2)
SEEDS = range(3)


def cases(has: Callable[[str], bool]) -> list[Case]:
    return [
        *_costs(),
        *_trainings(*(ON_IMAGES if has("cifar10") else ON_DIGITS)),
        *(_trainings(*ON_EVENTS) if has("n-mnist") else ()),
    ]


def _costs() -> Iterator[Case]:
    for network in NETWORKS:
        for T, lengths in LENGTHS.items():
            yield _cost(network, T, "bptt", ())
            for K in lengths:
                for b in BLOCKS:
                    yield _cost(network, T, "ttl-bptt", (("K", K), ("b", b)))
                    if K < T:
                        yield _cost(network, T, "ttl-bptt", (("K", K), ("b", b), ("update", "end")))
    for classifier in CLASSIFIERS[1:]:
        for K in LENGTHS[10]:
            for b in BLOCKS:
                yield _cost(FIRST, 10, "ttl-bptt", (("K", K), ("b", b), ("classifier", classifier)))


def _cost(network: str, T: int, algorithm: str, options: Options) -> Case:
    return Case(PAPER, "cost", network, algorithm, "native", T, BATCH, scale="laptop", options=options)


def _trainings(
    network: str, dataset: str, T: int, batch: int, epochs: int, train: int, test: int, lr: float, K: int
) -> Iterator[Case]:
    """The corners of the design space, each with the same seeds: whole, cut in time, cut in space, cut in both."""
    settings = {"epochs": epochs, "lr": lr, "optimizer": "adam", "test_images": test, "train_images": train}
    corners: tuple[tuple[str, dict[str, Any]], ...] = (
        ("bptt", {}), ("tbptt", {"K": K}), ("local", {"b": 1}), ("ttl-bptt", {"K": K, "b": 1, "update": "end"}),
    )  # fmt: skip
    for seed in SEEDS:
        for algorithm, own in corners:
            options = tuple(sorted({**settings, **own}.items()))
            yield Case(PAPER, "training", network, algorithm, "native", T, batch, dataset, "laptop", seed, options)
