"""Equal seeds give equal weights on every backend, for every network and algorithm and for shipped implementations."""

from __future__ import annotations

import ctypes
import gc

import pytest
import torch
from torch import Tensor, nn

from bench import backends, zoo
from bench.case import Case
from bench.errors import UserError
from bench.probes.equivalence import aligned_parameters, draw
from bench.registry import BACKENDS
from bench.training_step import training_step
from tests.registered import SHIPPED, shipped_by, supported

FEW = 2_000_000  # largest network that the default run draws
BY_SIZE = sorted(zoo.names(), key=lambda name: -zoo.spec(name).parameters)
SMALL = {name.split("/")[0]: name for name in BY_SIZE if zoo.spec(name).parameters < FEW}  # the smallest of each kind
REFERENCE = ("bptt", "native")


def weights(net: nn.Module) -> list[Tensor]:
    """Return the weights of the network without auxiliary classifiers."""
    beside = {id(p) for p in getattr(net, "classifiers", nn.ModuleList()).parameters()}
    return [p.detach() for p in aligned_parameters(net) if id(p) not in beside]


def combinations(network: str) -> list[tuple[str, str]]:
    """Return the supported pairs of algorithm and backend that can be used here."""
    return [(a, b) for a, b in supported(network) if backends.available(b)]


def crossing(network: str) -> list[tuple[str, str]]:
    """Return every algorithm and every backend at least once: each with its first partner."""
    pairs = combinations(network)
    by_algorithm, by_backend = ({pair[i]: pair for pair in reversed(pairs)} for i in (0, 1))
    return list(dict.fromkeys([*by_algorithm.values(), *by_backend.values()]))


def release() -> None:
    """Give memory back to the system: networks are in reference cycles, and the native modes keep what is freed (compiled.py)."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def drawn(network: str, algorithm: str, backend: str, seed: int) -> list[Tensor]:
    return weights(training_step(network, algorithm, backend, seed=seed).net)


def assert_equal_weights(network: str, pairs: list[tuple[str, str]]) -> None:
    reference = drawn(network, *REFERENCE, seed=5)
    assert REFERENCE in pairs
    for algorithm, backend in pairs:
        found = drawn(network, algorithm, backend, seed=5)
        assert len(found) == len(reference)
        assert all(torch.equal(a, b) for a, b in zip(found, reference, strict=True)), (algorithm, backend)
        del found
        if zoo.spec(network).parameters >= FEW:
            release()
    assert not torch.equal(drawn(network, *REFERENCE, seed=6)[0], reference[0])


@pytest.mark.sampled(every=8)
@pytest.mark.parametrize("network", SMALL.values())
def test_initial_weights_are_equal_for_every_algorithm_and_on_every_backend(network):
    assert_equal_weights(network, crossing(network))


@pytest.mark.full
@pytest.mark.parametrize("network", zoo.names())
def test_initial_weights_are_equal_for_every_algorithm_on_every_backend(network):
    assert_equal_weights(network, combinations(network))


@pytest.mark.parametrize("name", BACKENDS)
def test_entry_says_whether_a_backend_ships_training(name):
    if not backends.available(name):
        pytest.skip(f"{name} cannot be used here")
    assert hasattr(backends.load(name), "shipped") is BACKENDS[name].ships


# An algorithm's own weights and a backend's are drawn in the same way in every network: the smaller half is enough.
@pytest.mark.sampled(every=3)
@pytest.mark.parametrize("network", sorted(SMALL.values(), key=lambda name: zoo.spec(name).parameters)[: len(SMALL) // 2])
def test_draw_does_not_depend_on_earlier_weights(network):
    """Biases and gains are drawn too."""
    found = []
    for algorithm, backend in crossing(network):
        net = training_step(network, algorithm, backend).net
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.fill_(torch.nan)
        draw(net, Case("tests", "equivalence", network, algorithm, backend, 2, 2))
        found.append(weights(net))
    assert all(float(p.abs().min()) > 0 for p in found[0])
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@pytest.fixture(params=SHIPPED)
def shipped(request) -> tuple[str, str, str]:
    """Network, algorithm, backend."""
    if not backends.available(request.param):
        pytest.skip(f"{request.param} cannot be used here")
    algorithm = shipped_by(request.param, "custom/n-mnist")
    assert algorithm is not None
    return "custom/n-mnist", algorithm, request.param


def test_draw_weights_can_use_the_frameworks_own(shipped):
    ours = drawn(*shipped, seed=5)
    own = [weights(training_step(*shipped, seed=seed, init="framework").net) for seed in (5, 5, 6)]
    assert all(torch.equal(a, b) for a, b in zip(own[0], own[1], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(own[0], own[2], strict=True))
    for theirs, native in zip(own[0], ours, strict=True):
        assert theirs.isfinite().all()
        assert not torch.equal(theirs, native)


def test_draw_weights_rejects_other_names(shipped):
    with pytest.raises(UserError, match="unknown init 'natve': did you mean native"):
        training_step(*shipped, init="natve")
