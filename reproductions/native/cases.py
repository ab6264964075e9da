"""What is measured for the goals of the native backend: seconds and bytes of every row on ten workloads.

All of it has the scale "full": an hour of timing is too long for a laptop's default run. ``spikecost speed`` runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.case import Case
from bench.speed.rows import FLOOR, rows

PAPER = "native"
NETWORKS = ("vgg-sws/cifar10", "resnet18/cifar10", "lenet/dvs-gesture")
SMALL = ("vgg-sws-small/cifar10", 10, 16)
BATCH = {4: 5, 10: 2, 50: 1}  # by T: T * batch is about the same
WORKLOADS = (SMALL, *((network, T, batch) for network in NETWORKS for T, batch in BATCH.items()))
GPU_BATCHES = 32  # a GPU gets batches so many times as large
COUNTED_BATCH = 128  # of the bytes

GATES = (
    *(("bptt", mode, ()) for mode in ("native-fast", "native-balanced", "native-small")),
    *(("bptt", name, ()) for name in ("spikingjelly", "spikingjelly-multistep", "spikingjelly-memopt", "snntorch")),
    ("ottt-a", "native-fast", (("K", 3),)),
    ("ottt-a", "spikingjelly-shipped", ()),
    ("tbptt", "snntorch-shipped", (("K", 2),)),
)


def cases(has: Callable[[str], bool]) -> list[Case]:
    return [*_gates(), *_costs(), *_times()]


def _gates() -> Iterator[Case]:
    for network in (SMALL[0], *NETWORKS):
        for algorithm, backend, options in GATES:
            if backend != "spikingjelly-shipped" or network != "resnet18/cifar10":  # its online layers form chains alone
                yield Case(PAPER, "equivalence", network, algorithm, backend, T=3, batch=2, scale="full", options=options)


def _costs() -> Iterator[Case]:
    for network, T, _ in WORKLOADS:
        for row in rows(T):
            if row.algorithm != FLOOR:
                yield Case(
                    PAPER, "cost", network, row.algorithm, row.backend, T, COUNTED_BATCH, scale="full", options=row.options
                )


def _times() -> Iterator[Case]:
    for network, T, batch in WORKLOADS:
        yield Case(PAPER, "speed", network, "bptt", "native", T, batch, scale="full")
        yield Case(PAPER, "cuda-speed", network, "bptt", "native", T, batch * GPU_BATCHES, scale="full")
