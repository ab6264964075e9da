"""Equal seeds give equal weights on every backend, for every network and algorithm and for shipped implementations."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from bench import algorithms, backends, zoo
from bench.case import Case
from bench.errors import UserError
from bench.probes.equivalence import aligned_parameters, draw
from bench.registry import BACKENDS
from bench.training_step import support, training_step
from tests.registered import SHIPPED, shipped_by

FEW = 2_000_000  # largest network that the default run draws for every backend and algorithm
SMALL = {name.split("/")[0]: name for name in zoo.names() if zoo.spec(name).parameters < FEW}  # one of each kind
WALKED = [pytest.param(n, marks=[] if n in SMALL.values() else pytest.mark.full, id=n) for n in zoo.names()]
REFERENCE = ("bptt", "native")


def weights(net: nn.Module) -> list[Tensor]:
    """Return the weights of the network without auxiliary classifiers."""
    beside = {id(p) for p in getattr(net, "classifiers", nn.ModuleList()).parameters()}
    return [p.detach() for p in aligned_parameters(net) if id(p) not in beside]


def combinations(network: str) -> Iterator[tuple[str, str]]:
    """Yield the supported pairs of algorithm and backend."""
    for algorithm, backend in itertools.product(algorithms.names(), backends.names()):
        if backends.available(backend) and support(network, algorithm, backend):
            yield algorithm, backend


def drawn(network: str, algorithm: str, backend: str, seed: int) -> list[Tensor]:
    return weights(training_step(network, algorithm, backend, seed=seed).net)


@pytest.mark.parametrize("network", WALKED)
def test_initial_weights_are_equal_on_every_backend_for_every_algorithm(network):
    reference = drawn(network, *REFERENCE, seed=5)
    ran = set(combinations(network))
    for algorithm, backend in ran:
        found = drawn(network, algorithm, backend, seed=5)
        assert len(found) == len(reference)
        assert all(torch.equal(a, b) for a, b in zip(found, reference, strict=True)), (algorithm, backend)
        del found
        gc.collect()  # a network is part of reference cycles, and the largest has 200 MB of weights
    assert REFERENCE in ran
    assert not torch.equal(drawn(network, *REFERENCE, seed=6)[0], reference[0])


@pytest.mark.parametrize("name", BACKENDS)
def test_entry_says_whether_a_backend_ships_training(name):
    if not backends.available(name):
        pytest.skip(f"{name} cannot be used here")
    assert hasattr(backends.load(name), "shipped") is BACKENDS[name].ships


@pytest.mark.parametrize("network", sorted(SMALL.values()))
def test_draw_does_not_depend_on_earlier_weights(network):
    """Biases and gains are drawn too."""
    found = []
    for algorithm, backend in combinations(network):
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
