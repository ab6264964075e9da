"""MACs of local training, by purpose, compared with counts by hand for the AlexNet-type networks."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from bench import backends
from bench.counting.macs import Macs
from bench.counting.step import batch_for, cost_of
from bench.training_step import training_step
from tests.registered import PLAIN

ALEXNET = "alexnet/cifar10-dvs-42"
T, BATCH = 4, 2


@cache
def macs(network: str, algorithm: str, backend: str = "native", **options: Any) -> Macs:
    """Return the MACs of a step of T x BATCH samples."""
    step = training_step(network, algorithm, backend, device="meta", **options)
    return cost_of(step, *batch_for(step, T, BATCH, "meta")).macs


def outputs(height: int) -> list[int]:
    """Return the number of outputs of each block of one layer, after pooling."""
    half, quarter, eighth = height // 2, height // 4, height // 8
    return [96 * height**2, 256 * half**2, 384 * quarter**2, 384 * quarter**2, 256 * eighth**2, 1024, 1024]


def synapses(height: int) -> list[int]:
    """Return the products of each layer, the readout last."""
    half, quarter, eighth = height // 2, height // 4, height // 8
    convolutions = [
        2 * 96 * 9 * height**2, 96 * 256 * 9 * height**2, 256 * 384 * 9 * half**2, 384 * 384 * 9 * quarter**2,
        384 * 256 * 9 * quarter**2,
    ]  # fmt: skip
    return [*convolutions, 256 * eighth**2 * 1024, 1024 * 1024, 10240]


@pytest.mark.parametrize(("height", "end_to_end", "local"), [(42, 1_009_133_568, 3_674_880), (48, 1_348_216_832, 4_904_960)])
def test_local_macs_of_back_propagated_errors_by_hand(height: int, end_to_end: int, local: int) -> None:
    """Errors are back-propagated through the classifier and the synapses of a block, except its first synapse."""
    network, products = f"alexnet/cifar10-dvs-{height}", synapses(height)
    assert sum(products[1:]) == end_to_end
    assert 10 * sum(outputs(height)) == local
    assert macs(network, "bptt").dense["error to input"] == T * BATCH * end_to_end
    assert macs(network, "local", b=1, classifier="dense").dense["error to input"] == T * BATCH * local
    between_blocks = {4: [4], 3: [3, 6], 2: [2, 4, 6]}
    for b, firsts in between_blocks.items():
        heads = sum(10 * outputs(height)[i - 1] for i in firsts)
        wanted = end_to_end - sum(products[i] for i in firsts) + heads
        assert macs(network, "local", b=b, classifier="dense").dense["error to input"] == T * BATCH * wanted


@pytest.mark.parametrize("backend", PLAIN)
@pytest.mark.parametrize("classifier", ["dense", "conv", "fixed"])
def test_local_macs_of_classifiers_by_hand(classifier: str, backend: str) -> None:
    available = backends.available(backend)
    if not available:
        pytest.skip(available.reason)
    got = macs(ALEXNET, "ttl-bptt", backend, b=1, K=2, classifier=classifier).dense
    whole, heads = sum(synapses(42)), 10 * sum(outputs(42)[:-1])
    assert got == {
        "forward": T * BATCH * (whole + heads),
        "recomputation": 0,
        "error to input": T * BATCH * 10 * sum(outputs(42)),
        "error to weight": T * BATCH * (whole + (0 if classifier == "fixed" else heads)),
    }


def test_local_macs_do_not_depend_on_windows() -> None:
    assert macs(ALEXNET, "ttl-bptt", b=2, K=1).dense == macs(ALEXNET, "local", b=2).dense
    assert macs(ALEXNET, "ttl-bptt", b=2, K=3).multiplications == macs(ALEXNET, "local", b=2).multiplications


def test_local_memory_includes_parameters_of_classifiers() -> None:
    def categories(**options: Any) -> dict[str, int]:
        step = training_step(ALEXNET, "local", "native", device="meta", **options)
        return cost_of(step, *batch_for(step, T, BATCH, "meta")).memory.by_category

    heads = 4 * (10 * sum(outputs(42)[:-1]))
    plain, dense, fixed = categories(b=7), categories(b=1, classifier="dense"), categories(b=1, classifier="fixed")
    assert dense["parameters"] - plain["parameters"] == heads + 4 * 6 * 10  # six biases of ten
    assert dense["optimizer state"] - plain["optimizer state"] == heads + 4 * 6 * 10
    assert fixed["parameters"] - plain["parameters"] == heads
    assert fixed["optimizer state"] == plain["optimizer state"]
