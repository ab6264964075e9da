"""A network of the catalogue rebuilt by hand in SpikingJelly and in snnTorch costs and learns, lifted, as through the catalogue.

Bytes by category, MACs of both conventions, and gradients in double precision with weights copied by their order.
"""

from __future__ import annotations

import importlib
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import spikecost
from bench.counting.any_step import Cost
from bench.kernels.surrogate import fire
from bench.lift.cost.compare import Compared
from bench.lift.running.training import LIFTED, instantaneous
from bench.probes.equivalence import in_double
from bench.spec import Surrogate
from bench.training_step import support

NETWORK, FRAME = "custom/n-mnist", (2, 34, 34)  # 12C5-AP2-64C5-AP2-10, LIF neurons of decay 0.97, a triangle as surrogate
T, BATCH, CLASSES = 7, 3, 10
DECAY = 0.97
OPTIONS: dict[str, dict[str, Any]] = {
    "tbptt": {"K": 2},
    "checkpointed": {"segments": 3},
    "skipper": {"segments": 1},
    "sltt-k": {"k": 2},
    "ttl-bptt": {"K": 2, "update": "end"},
}


def in_spikingjelly(step_mode: str) -> nn.Module:
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    def lif() -> nn.Module:
        return neuron.LIFNode(
            tau=1 / (1 - DECAY), decay_input=False, v_reset=None, surrogate_function=surrogate.PiecewiseQuadratic(1.0),
            detach_reset=True,
        )  # fmt: skip

    net = nn.Sequential(
        layer.Conv2d(2, 12, 5, padding=2), lif(), layer.AvgPool2d(2), layer.Conv2d(12, 64, 5, padding=2), lif(),
        layer.AvgPool2d(2), layer.Flatten(), layer.Linear(64 * 8 * 8, CLASSES),
    )  # fmt: skip
    functional.set_step_mode(net, step_mode)
    return net


class InSnnTorch(nn.Module):
    """Uses snnTorch's charge and firing. Its own reset acts a step later and before the leak, so the reset is done here."""

    def __init__(self) -> None:
        super().__init__()
        snntorch = importlib.import_module("snntorch")
        triangle = partial(fire, surrogate=Surrogate("triangle", 1.0))
        settings = {"beta": DECAY, "spike_grad": triangle, "reset_mechanism": "none", "init_hidden": True}
        self.conv1, self.lif1 = nn.Conv2d(2, 12, 5, padding=2), snntorch.Leaky(**settings)
        self.conv2, self.lif2 = nn.Conv2d(12, 64, 5, padding=2), snntorch.Leaky(**settings)
        self.pool, self.readout = nn.AvgPool2d(2), nn.Linear(64 * 8 * 8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(fired(self.lif1, self.conv1(x)))
        x = self.pool(fired(self.lif2, self.conv2(x)))
        out: Tensor = self.readout(x.flatten(1))
        return out


def fired(neurons: Any, current: Tensor) -> Tensor:
    s: Tensor = neurons(current)
    neurons.mem = neurons.mem - s.detach()
    return s


def in_snntorch() -> nn.Module:
    pytest.importorskip("snntorch")
    return InSnnTorch()


NETS = {
    "spikingjelly": lambda: in_spikingjelly("s"),
    "spikingjelly-multistep": lambda: in_spikingjelly("m"),
    "snntorch": in_snntorch,
}
NO_CHAIN = ("local", "ttl-bptt")  # the network in snnTorch resets with functions between its parts, so that it has no blocks
IN_ONE_WINDOW = ("bptt", "local")
IN_WINDOWS = ("checkpointed", "replay", "skipper", "tbptt", "sltt", "sltt-k", "ottt-a", "ottt-o", "ttl-bptt")
PAIRS = [
    pytest.param(backend, algorithm, id=f"{backend}, {algorithm}")
    for backend in NETS
    for algorithm in LIFTED
    if backend != "snntorch" or algorithm not in NO_CHAIN
]


@cache
def compared(backend: str) -> Compared:
    able = [algorithm for algorithm in LIFTED if support(NETWORK, algorithm, backend)]
    settings = {"T": T, "batch": BATCH, "encoding": "frames", "cosine": "none", "options": OPTIONS}
    return spikecost.compare(NETS[backend](), FRAME, algorithms=able, **settings)


def catalogue_or_skip(backend: str, algorithm: str) -> None:
    answer = support(NETWORK, algorithm, backend)
    if not answer:
        pytest.skip(answer.reason)


def found_and_expected(backend: str, algorithm: str) -> tuple[Cost, Cost]:
    catalogue_or_skip(backend, algorithm)
    row = next(row for row in compared(backend).rows if row.algorithm == algorithm)
    assert row.cost is not None, row.reason
    return row.cost, spikecost.cost(NETWORK, algorithm, backend, T=T, batch=BATCH, alpha=0.0, **OPTIONS.get(algorithm, {}))


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize(("backend", "algorithm"), PAIRS)
def test_lifted_network_has_the_macs_of_the_catalogue(backend: str, algorithm: str) -> None:
    found, expected = found_and_expected(backend, algorithm)
    assert found.macs.dense == expected.macs.dense
    assert found.macs.multiplications == expected.macs.multiplications


@pytest.mark.parametrize(("backend", "algorithm"), [pair for pair in PAIRS if "spikingjelly" in str(pair.id)])
def test_lifted_network_has_the_bytes_of_the_catalogue(backend: str, algorithm: str) -> None:
    """A lifted step keeps the loss of the windows before, which it returns: one number.

    An algorithm that is added may peak where a lifted network, which drops a state as soon as it has the next, holds less.
    """
    found, expected = found_and_expected(backend, algorithm)
    if algorithm in IN_ONE_WINDOW + IN_WINDOWS:
        assert differences(found, expected) == ({} if algorithm in IN_ONE_WINDOW else {"temporary": 4})
    assert found.memory.total <= expected.memory.total + 4


@pytest.mark.parametrize("algorithm", ["bptt", "skipper"])
def test_network_in_snntorch_lacks_what_the_catalogues_neurons_hold_beside(algorithm: str) -> None:
    """The catalogue's hold the potentials before and after the reset.

    Its peak lies in the reset of the second layer, where also the new potentials of that layer exist.
    """
    found, expected = found_and_expected("snntorch", algorithm)
    first, second = 4 * BATCH * 12 * 34 * 34, 4 * BATCH * 64 * 17 * 17
    assert differences(found, expected) == {"state": -second, "temporary": -(first + second)}


@pytest.mark.parametrize("backend", ["spikingjelly", "spikingjelly-multistep"])
def test_module_as_written_keeps_its_last_potentials_and_not_its_outputs(backend: str) -> None:
    """Its neurons hold them until the next reset; the outputs, which BPTT of the catalogue returns, it lets go."""
    written = spikecost.measure(NETS[backend](), FRAME, T=T, batch=BATCH, encoding="frames", loss=instantaneous)
    expected = spikecost.cost(NETWORK, "bptt", backend, T=T, batch=BATCH, alpha=0.0)
    potentials, outputs = 4 * BATCH * (12 * 34 * 34 + 64 * 17 * 17), 4 * T * BATCH * CLASSES
    assert differences(written.cost, expected) == {"state": potentials, "temporary": -outputs}


def differences(found: Cost, expected: Cost) -> dict[str, int]:
    """Return the bytes at the peak that ``found`` has more, by category, where there are any."""
    mine, other = found.memory.by_category, expected.memory.by_category
    return {name: mine[name] - size for name, size in other.items() if mine[name] != size}


@pytest.mark.sampled(every=3)
@pytest.mark.parametrize(("backend", "algorithm"), PAIRS)
@in_double()
def test_lifted_network_has_the_gradients_of_the_catalogue(backend: str, algorithm: str) -> None:
    catalogue_or_skip(backend, algorithm)
    if algorithm == "ottt-o":
        pytest.skip("it changes the weights at every step: tests/lift/test_against_catalogue.py compares the weights")
    options = OPTIONS.get(algorithm, {})
    torch.manual_seed(0)
    net = NETS[backend]()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(3)  # so that every layer fires
    other = spikecost.training_step(NETWORK, algorithm, backend, alpha=0.0, **options)
    copied(net, getattr(other.net, "body", other.net))
    x = 2 * torch.rand(T, BATCH, *FRAME, generator=torch.Generator().manual_seed(1))
    target = torch.tensor([0, 3, 9])
    step = spikecost.training_step(net, algorithm, **options)  # its usual loss is the catalogue's with alpha = 0
    if step.lifted(x) is not None and step.classifiers is not None:
        copied(step.classifiers, other.net.classifiers)  # type: ignore[arg-type]
    torch.manual_seed(2)
    step(x, target)
    torch.manual_seed(2)
    other.gradients(x, target)
    mine, theirs = list(net.parameters()), list(getattr(other.net, "body", other.net).parameters())  # type: ignore[union-attr]
    for one, two in zip(mine, theirs, strict=True):
        assert one.grad is not None
        assert two.grad is not None
        assert float(two.grad.norm()) > 0
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-9, atol=1e-12)


def copied(source: nn.Module, target: Any) -> None:
    with torch.no_grad():
        for theirs, mine in zip(target.parameters(), source.parameters(), strict=True):
            theirs.copy_(mine)
