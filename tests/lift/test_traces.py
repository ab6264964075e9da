"""OTTT on a user's module: laws of its traces, and synapses that cannot have one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.lift.running.training import training_step

sys.path.insert(0, str(Path(__file__).parent))
from nets import CLASSES, FRAME, SjResidual, fire, seeded, sj_dense, sj_lif

T, BATCH = 6, 3


def batch(frame: tuple[int, ...] = FRAME) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = 3 * torch.rand(T, BATCH, *frame, generator=generator, dtype=torch.float64)
    return x, torch.randint(CLASSES, (BATCH,), generator=generator)


def gradients(net: nn.Module, algorithm: str, frame: tuple[int, ...] = FRAME, **options: Any) -> dict[str, Tensor]:
    training_step(net, algorithm, **options)(*batch(frame))
    found = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
    net.zero_grad()
    return found


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor], but: tuple[str, ...] = ()) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        if not name.startswith(but):
            torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-12)
            assert value.abs().max() > 0


def test_last_layer_of_neurons_with_detached_reset_gets_the_gradient_of_bptt() -> None:
    net = seeded(sj_dense).double()
    with torch.no_grad():
        net[1].weight.mul_(4)
    found, expected = gradients(net, "ottt-a"), gradients(net, "bptt")
    torch.testing.assert_close(found["3.weight"], expected["3.weight"], rtol=1e-9, atol=1e-12)
    assert expected["3.weight"].abs().max() > 0
    assert not torch.allclose(found["1.weight"], expected["1.weight"], rtol=1e-3)


def leaky(beta: float, explicit: bool) -> nn.Module:
    return Explicit(beta) if explicit else Kept(beta)


class Kept(nn.Module):
    def __init__(self, beta: float) -> None:
        super().__init__()
        snn = pytest.importorskip("snntorch")
        self.one, self.two = nn.Linear(8, 10), nn.Linear(10, CLASSES)
        self.first = snn.Leaky(beta=beta, spike_grad=fire, init_hidden=True)
        self.last = snn.Leaky(beta=beta, spike_grad=fire, init_hidden=True)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.last(self.two(self.first(self.one(x))))
        return out


class Explicit(nn.Module):
    def __init__(self, beta: float) -> None:
        super().__init__()
        snn = pytest.importorskip("snntorch")
        self.one, self.two = nn.Linear(8, 10), nn.Linear(10, CLASSES)
        self.first, self.last = snn.Leaky(beta=beta, spike_grad=fire), snn.Leaky(beta=beta, spike_grad=fire)

    def forward(self, x: Tensor, mem1: Any, mem2: Any) -> tuple[Tensor, Any, Any]:
        spikes, mem1 = self.first(self.one(x), mem1)
        spikes, mem2 = self.last(self.two(spikes), mem2)
        return spikes, mem1, mem2


def test_state_as_an_argument_gives_the_same_traces_as_state_in_the_neurons() -> None:
    kept, explicit = (seeded(lambda each=each: leaky(0.8, each)).double() for each in (False, True))
    assert_same(gradients(kept, "ottt-a", (8,)), gradients(explicit, "ottt-a", (8,)))
    assert not torch.allclose(gradients(kept, "ottt-a", (8,))["two.weight"], gradients(kept, "sltt", (8,))["two.weight"])


def test_trace_of_decay_0_is_sltt() -> None:
    net = seeded(lambda: leaky(0.0, False)).double()
    assert_same(gradients(net, "ottt-a", (8,)), gradients(net, "sltt", (8,)))


def test_sums_of_spikes_have_traces() -> None:
    """The readout has no membrane, but its trace: its gradient differs from that of SLTT, that of the first layer does not."""
    net = seeded(SjResidual).double()
    found, without = gradients(net, "ottt-a"), gradients(net, "sltt")
    assert torch.equal(found["entry.weight"], without["entry.weight"])
    for name in ("block.conv.weight", "readout.weight"):
        assert not torch.allclose(found[name], without[name], rtol=1e-3)


def test_weights_that_a_layer_standardises_have_traces() -> None:
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import layer

    def make(kind: Any) -> nn.Module:
        return nn.Sequential(layer.Conv2d(2, 4, 3), sj_lif(), kind(4, 4, 3), sj_lif(), nn.Flatten(), nn.Linear(64, CLASSES))

    net, plain = seeded(lambda: make(layer.WSConv2d)).double(), seeded(lambda: make(layer.Conv2d)).double()
    with torch.no_grad():
        plain[2].weight.copy_(net[2].get_weight())
        plain[5].load_state_dict(net[5].state_dict())
    effective = gradients(plain, "ottt-a")["2.weight"]
    (expected,) = torch.autograd.grad(net[2].get_weight(), net[2].weight, effective)
    torch.testing.assert_close(gradients(net, "ottt-a")["2.weight"], expected, rtol=1e-9, atol=1e-12)
    assert expected.abs().max() > 0


# --------------------------------------------------------------------------- refused


def chain(*parts: Any) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), sj_lif(), *parts, nn.Flatten(), nn.LazyLinear(CLASSES))


class Shares(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.first, self.last = nn.Linear(8, 8), sj_lif(), sj_lif()
        self.again = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.first(self.one(x))
        return self.again(spikes) + self.again(self.last(spikes))


class Raw(nn.Module):
    """Multiplies with a matrix that is no layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.lif, self.matrix = nn.Linear(8, 8), sj_lif(), nn.Parameter(torch.rand(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lif(self.one(x)) @ self.matrix
        return out


REFUSED = {
    "two convolutions in a row": (lambda: chain(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3), sj_lif()), "3 reads real numbers"),
    "norm before the synapse": (lambda: chain(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), sj_lif()), "3 reads real numbers"),
    "groups": (lambda: chain(nn.Conv2d(4, 4, 3, groups=4), sj_lif()), "2 has stride .* groups 4"),
    "dilation": (lambda: chain(nn.Conv2d(4, 4, 3, dilation=2), sj_lif()), r"2 has stride .* dilation \(2, 2\)"),
    "transposed": (lambda: chain(nn.ConvTranspose2d(4, 4, 3), sj_lif()), "2 is a ConvTranspose2d"),
    "runs twice": (Shares, "again runs 2 times in a time step"),
    "no layer": (Raw, "matrix belongs to no convolution or linear layer"),
    "two decays": (lambda: chain(nn.Conv2d(4, 4, 3), sj_lif(tau=4.0)), "1 decays by 0.5 and Sequential.3 by 0.75"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_synapse_without_a_trace_is_refused_with_its_path(name: str) -> None:
    pytest.importorskip("spikingjelly")
    make, words = REFUSED[name]
    frame = (8,) if name in ("runs twice", "no layer") else FRAME
    net = seeded(make).double()
    if frame == FRAME:
        net(batch()[0][0])  # the lazy layer gets its size
        from spikingjelly.activation_based import functional

        functional.reset_net(net)
    with pytest.raises(UserError, match=words):
        training_step(net, "ottt-a")(*batch(frame))
