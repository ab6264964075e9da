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


def cases(has: Callable[[str], bool]) -> list[Case]:
    return [*_costs()]


def _costs() -> Iterator[Case]:
    for network in NETWORKS:
        for T, lengths in LENGTHS.items():
            yield _cost(network, T, "bptt", ())
            for K in lengths:
                for b in BLOCKS:
                    yield _cost(network, T, "ttl-bptt", (("K", K), ("b", b)))
    for classifier in CLASSIFIERS[1:]:
        for K in LENGTHS[10]:
            for b in BLOCKS:
                yield _cost(FIRST, 10, "ttl-bptt", (("K", K), ("b", b), ("classifier", classifier)))


def _cost(network: str, T: int, algorithm: str, options: Options) -> Case:
    return Case(PAPER, "cost", network, algorithm, "native", T, BATCH, scale="laptop", options=options)
