"""The workloads and training steps that are timed. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from bench.errors import choose

FLOOR = "convolutions alone"  # all synapses forward and backward once; no neurons, no optimizer


@dataclass(frozen=True)
class Workload:
    network: str
    T: int
    batch: int

    def __str__(self) -> str:
        return f"{self.network}, T = {self.T}, batch {self.batch}"

    @property
    def key(self) -> str:
        """Name on the command line."""
        return f"{self.network}/T{self.T}"


@dataclass(frozen=True)
class Row:
    """A training step. If ``algorithm`` is FLOOR, ``backend`` is the layout of the tensors."""

    algorithm: str
    backend: str
    options: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        shown = ", ".join(f"{name} = {value}" for name, value in self.options)
        return f"{self.algorithm} on {self.backend}" + (f" ({shown})" if shown else "")

    @property
    def native(self) -> bool:
        return self.backend.startswith("native")


# T * batch is about the same for all networks; a GPU gets batches GPU_BATCHES times as large.
BATCH = {4: 5, 10: 2, 50: 1}
GPU_BATCHES = 32
NETWORKS = ("vgg-sws/cifar10", "resnet18/cifar10", "lenet/dvs-gesture")
SMALL = Workload("vgg-sws-small/cifar10", 10, 16)


def workloads(device: str) -> list[Workload]:
    times = GPU_BATCHES if device == "cuda" else 1
    large = [Workload(network, T, batch * times) for network, (T, batch) in product(NETWORKS, BATCH.items())]
    return [Workload(SMALL.network, SMALL.T, SMALL.batch * times), *large]


def chosen(names: Sequence[str], device: str) -> list[Workload]:
    """Return the workloads with these names (a key, or a network for all of its workloads); all if ``names`` is empty.

    Raises UserError for an unknown name.
    """
    every = workloads(device)
    known = {name for workload in every for name in (workload.key, workload.network)}
    for name in names:
        choose("workload", name, known)
    return [workload for workload in every if not names or {workload.key, workload.network} & set(names)]


def rows(workload: Workload) -> Iterator[Row]:
    """Yield the candidate rows, with every backend; the backends decide which of them can run."""
    yield from (Row(FLOOR, layout) for layout in ("contiguous", "channels last"))
    for mode in ("native", "native-fast", "native-balanced", "native-small"):
        yield Row("bptt", mode)
    for framework in ("spikingjelly", "spikingjelly-multistep", "spikingjelly-memopt", "snntorch"):
        yield Row("bptt", framework)
    yield from (
        Row("ottt-a", backend) for backend in ("native", "native-fast", "spikingjelly", "snntorch", "spikingjelly-shipped")
    )
    yield Row("ottt-a", "native-fast", (("K", workload.T),))
    yield from (Row("sltt", backend) for backend in ("native-fast", "spikingjelly-shipped"))
    yield Row("sltt", "native-fast", (("K", workload.T),))
    yield from (Row("tbptt", backend, (("K", 2),)) for backend in ("native-fast", "snntorch", "snntorch-shipped"))
