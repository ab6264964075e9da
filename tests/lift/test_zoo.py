"""Networks written by others: the list is complete, each is measured in seconds, and its table's checks can fail.

`make zoo` measures and checks all of them. Here a few small ones walk the same list; with the marker "full", every one.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import resource
import time
from typing import Any

import pytest
import torch

from bench.lift.cost.measure import measure
from bench.lift.fitting.bound import bound
from bench.lift.fitting.fit import Bound, front
from bench.lift.recognition.source import build
from bench.lift.running.training import training_step
from bench.lift.zoo import checks as zoo_checks
from bench.lift.zoo.checks import Own, deviation
from bench.lift.zoo.networks import BATCH, SMALL_BATCH, ZOO

pytest.importorskip("spikingjelly")
pytest.importorskip("snntorch")
pytest.importorskip("torchvision")

# Measured at their own input in an ordinary test.
FEW = ("MNISTNet/m", "maxformer_cifar", "spiking_vgg11/m", "sew_resnet18/s", "snntorch-rleaky")
# Small enough to run on real tensors in an ordinary test.
SMALL = ("MNISTNet/s", "MNISTNet/m", "snntorch-sconv2dlstm", "snntorch-alpha")


def marked(few: tuple[str, ...]) -> list[Any]:
    return [name if name in few else pytest.param(name, marks=pytest.mark.full) for name in ZOO]


def test_list_has_every_network_of_spikingjellys_model_zoo() -> None:
    """Functions that take the class of the neurons; and the networks that are shipped as a class alone."""
    package = importlib.import_module("spikingjelly.activation_based.model")
    modules = [importlib.import_module(f"{package.__name__}.{found.name}") for found in pkgutil.iter_modules(package.__path__)]
    builders = {
        name
        for module in modules
        for name, value in vars(module).items()
        if inspect.isfunction(value) and not name.startswith("_") and "spiking_neuron" in inspect.signature(value).parameters
    }
    classes = {*importlib.import_module(f"{package.__name__}.parametric_lif_net").__all__, "SNASNet", "SpikeDHS"}
    assert builders | classes == {name.partition("/")[0] for name, network in ZOO.items() if network.framework == "spikingjelly"}


@pytest.mark.parametrize("name", marked(FEW))
def test_network_is_measured_at_its_own_input_in_seconds(name: str) -> None:
    network = ZOO[name]
    real = network.real
    net = build(real.make).net
    measure(net, real.frame, T=real.T, batch=2, encoding=network.encoding)  # PyTorch imports its rules of shapes at first use
    began = time.process_time()
    found = measure(net, real.frame, T=real.T, batch=BATCH, encoding=network.encoding)
    assert time.process_time() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 * 2**20  # KiB
    assert (found.recognised.time, found.recognised.averages) == (network.time, network.averages)
    assert found.recognised.neurons
    assert sum(found.cost.macs.multiplications.values()) < sum(found.cost.macs.dense.values())


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize("name", marked(SMALL))
@pytest.mark.parametrize("check", zoo_checks.CHECKS)
def test_network_passes_the_check_of_the_table(name: str, check: str) -> None:
    found = zoo_checks.CHECKS[check](ZOO[name])
    assert found.outcome != "differs", found.words
    if name in SMALL:
        assert found.outcome == "equal", found.words


# --------------------------------------------------------------------------- the checks can fail


def made(name: str) -> tuple[Own, torch.Tensor]:
    torch.manual_seed(0)
    network = ZOO[name]
    net = network.small.make().double()
    x = torch.rand(network.small.T, SMALL_BATCH, *network.small.frame, dtype=torch.float64)
    return Own(net, network, x), torch.zeros(SMALL_BATCH, dtype=torch.long)


def test_truncated_gradients_are_found_to_differ() -> None:
    own, target = made("snntorch-rleaky")
    step = training_step(own.net, "tbptt", K=1)
    assert deviation(own, lambda: step(own.x, target), target) > 1e3


def test_running_statistics_that_are_updated_twice_are_found_to_differ() -> None:
    own, target = made("MNISTNet/s")

    def twice() -> None:
        own.run(target)
        own.net.zero_grad(set_to_none=True)
        own.run(target)

    assert deviation(own, twice, target) > 1e3


def test_bytes_that_differ_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """SpikingJelly's neurons on a CPU run as a chain of operators unless they are told to run as on a GPU."""
    from contextlib import nullcontext

    from bench.lift.frameworks import spikingjelly

    monkeypatch.setattr(spikingjelly, "as_on_a_gpu", nullcontext)
    found = zoo_checks.bytes_(ZOO["MNISTNet/m"])
    assert found.outcome == "not comparable"
    assert "operator by operator" in found.words


# --------------------------------------------------------------------------- what bounds a network


def bound_of(name: str) -> Bound:
    real = ZOO[name].real
    return bound(build(real.make).net, real.frame, T=real.T, batch=BATCH, encoding=ZOO[name].encoding)


def test_bound_of_two_dense_layers_by_hand() -> None:
    """784-1000-10: weights, gradients and momentum; the neurons' six numbers a layer; images and their classes."""
    found = bound_of("snntorch-feed-forward/s")
    weights = 784 * 1000 + 1000 + 1000 * 10 + 10
    assert 0 <= found.weights - 3 * 4 * weights < 100
    assert (found.input, found.norm, found.layer) == (32 * (4 * 784 + 8), 0, "")


def test_batch_norm_in_multi_step_mode_holds_all_time_steps_of_a_layer() -> None:
    one, all_of_them = bound_of("MNISTNet/s"), bound_of("MNISTNet/m")
    assert one.norm == 4 * 32 * 128 * 28 * 28
    assert all_of_them.norm == 4 * one.norm


def test_bound_is_that_of_the_exact_front() -> None:
    real = ZOO["MNISTNet/m"].real
    settings: dict[str, Any] = {"T": 2, "batch": 2, "encoding": "repeat"}
    net = build(real.make).net
    assert bound(net, real.frame, **settings) == front(net, real.frame, **settings).bound
