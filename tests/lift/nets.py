"""Small networks as users write them, for the tests of this folder. Each function takes nothing and makes one network."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

STEPS = 5
CLASSES = 4


def seeded(make: Any) -> nn.Module:
    torch.manual_seed(0)
    return make()


class Heaviside(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x >= 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return g / (1 + x * x)


def fire(x: Tensor) -> Tensor:
    """A surrogate that keeps the type of its input; snnTorch's own give float32, so that its neurons cannot run in float64."""
    spikes: Tensor = Heaviside.apply(x)
    return spikes


# --------------------------------------------------------------------------- SpikingJelly


def sj_convolutional(step_mode: str = "m", norm: bool = True, dropout: bool = False, mean: bool = False) -> nn.Module:
    """Two convolutions, pooling, one dense layer, on frames [2, 8, 8]."""
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional, layer, neuron, surrogate

    def lif() -> nn.Module:
        return neuron.LIFNode(tau=2.0, detach_reset=True, surrogate_function=surrogate.ATan())

    parts = [
        layer.Conv2d(2, 6, 3, padding=1, bias=False),
        *([layer.BatchNorm2d(6)] if norm else []),
        lif(),
        layer.MaxPool2d(2),
        layer.Conv2d(6, 8, 3, padding=1),
        neuron.ParametricLIFNode(init_tau=2.0, surrogate_function=surrogate.Sigmoid()),
        layer.AvgPool2d(2),
        layer.Flatten(),
        *([layer.Dropout(0.3)] if dropout else []),
        layer.Linear(8 * 2 * 2, CLASSES),
        neuron.IFNode(),
    ]
    net = Averaging(*parts) if mean else nn.Sequential(*parts)
    functional.set_step_mode(net, step_mode)
    return net


class Averaging(nn.Sequential):
    """Its output is averaged over time inside forward."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).mean(0)


def sj_single_step() -> nn.Module:
    return sj_convolutional("s")


def sj_multi_step() -> nn.Module:
    return sj_convolutional("m", norm=False)


def sj_multi_step_norm() -> nn.Module:
    return sj_convolutional("m")


def sj_dropout() -> nn.Module:
    return sj_convolutional("m", norm=False, dropout=True)


def sj_averaging() -> nn.Module:
    return sj_convolutional("m", mean=True)


def sj_lif(**settings: Any) -> nn.Module:
    """Leaky neurons with the settings of the catalogue's: soft reset, no gradient through it, the input as it is."""
    from spikingjelly.activation_based import neuron, surrogate

    chosen = {"tau": 2.0, "decay_input": False, "v_reset": None, "detach_reset": True, "surrogate_function": surrogate.Sigmoid()}
    return neuron.LIFNode(**(chosen | settings))


def sj_catalogue(step_mode: str = "s", norm: bool = True) -> nn.Module:
    """As the catalogue builds its convolutional networks: every synapse reads spikes or the input."""
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional, layer

    net = nn.Sequential(
        layer.Conv2d(2, 6, 3, padding=1),
        *([layer.BatchNorm2d(6)] if norm else []),
        sj_lif(),
        layer.AvgPool2d(2, 2),
        layer.Conv2d(6, 8, 3, padding=1, stride=2),
        sj_lif(),
        layer.Flatten(),
        layer.Linear(8 * 2 * 2, 12),
        sj_lif(),
        layer.Linear(12, CLASSES),
    )
    functional.set_step_mode(net, step_mode)
    return net


def sj_catalogue_multi_step() -> nn.Module:
    return sj_catalogue("m", norm=False)


def sj_dense(step_mode: str = "s", **settings: Any) -> nn.Module:
    """A dense chain of linear layers and leaky neurons."""
    pytest.importorskip("spikingjelly")
    from spikingjelly.activation_based import functional, layer

    net = nn.Sequential(layer.Flatten(), layer.Linear(128, 10), sj_lif(**settings), layer.Linear(10, CLASSES), sj_lif(**settings))
    functional.set_step_mode(net, step_mode)
    return net


class SjResidual(nn.Module):
    """A residual block between two layers, with a reshape inside forward; its synapses read spikes or sums of spikes."""

    def __init__(self) -> None:
        super().__init__()
        self.entry, self.first = nn.Conv2d(2, 6, 3, padding=1), sj_lif()
        self.block = SjAdded()
        self.readout = nn.Linear(6 * 8 * 8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.block(self.first(self.entry(x)))
        out: Tensor = self.readout(x.view(x.shape[0], -1))
        return out


class SjAdded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.lif = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), sj_lif()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.lif(self.norm(self.conv(x)))
        return out


class SjLoop(nn.Module):
    """Loops over time itself, over the first dimension of x."""

    def __init__(self) -> None:
        super().__init__()
        self.body = sj_convolutional("s", norm=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.body(x[t]) for t in range(x.shape[0])])


class SjRepeats(nn.Module):
    """Repeats an image by its own T, as SpikingJelly's spikformer does."""

    def __init__(self, T: int = STEPS) -> None:
        super().__init__()
        self.T = T
        self.body = sj_convolutional("m", norm=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() == 4:
            x = x.unsqueeze(0).repeat(self.T, 1, 1, 1, 1)
        return self.body(x).mean(0)


# --------------------------------------------------------------------------- snnTorch


def snn_sequential() -> nn.Module:
    """States inside the neurons, on frames [2, 8, 8]."""
    snn = pytest.importorskip("snntorch")
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        snn.Leaky(beta=0.9, spike_grad=fire, init_hidden=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * 4 * 4, 10),
        snn.Synaptic(alpha=0.8, beta=0.9, spike_grad=fire, init_hidden=True, learn_beta=True),
        nn.Linear(10, CLASSES),
        snn.Leaky(beta=0.9, spike_grad=fire, init_hidden=True, output=True, reset_mechanism="zero", reset_delay=False),
    )


def snn_recurrent() -> nn.Module:
    snn = pytest.importorskip("snntorch")
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(128, 12),
        snn.RLeaky(beta=0.9, spike_grad=fire, linear_features=12, init_hidden=True),
        nn.Linear(12, 12),
        snn.Alpha(alpha=0.9, beta=0.8, spike_grad=fire, init_hidden=True),
        nn.Linear(12, CLASSES),
        snn.RSynaptic(alpha=0.9, beta=0.8, spike_grad=fire, linear_features=CLASSES, init_hidden=True),
    )


def snn_lstm() -> nn.Module:
    snn = pytest.importorskip("snntorch")
    return nn.Sequential(
        snn.SConv2dLSTM(2, 4, 3, max_pool=2, spike_grad=fire, init_hidden=True),
        nn.Flatten(),
        nn.Linear(4 * 4 * 4, 10),
        snn.SLSTM(10, 8, spike_grad=fire, init_hidden=True),
        nn.Linear(8, CLASSES),
        snn.Leaky(beta=0.9, spike_grad=fire, init_hidden=True),
    )


def snn_leaky() -> nn.Module:
    """Leaky neurons of one decay, the last ones with a state that is returned too."""
    snn = pytest.importorskip("snntorch")
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        snn.Leaky(beta=0.9, spike_grad=fire, init_hidden=True, learn_threshold=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(6 * 4 * 4, 12),
        snn.RLeaky(beta=0.9, spike_grad=fire, linear_features=12, init_hidden=True),
        nn.Linear(12, CLASSES),
        snn.Leaky(beta=0.9, spike_grad=fire, init_hidden=True, output=True),
    )


class SnnExplicit(nn.Module):
    """State is an argument and is returned."""

    def __init__(self) -> None:
        super().__init__()
        snn = pytest.importorskip("snntorch")
        self.first, self.second = nn.Linear(128, 10), nn.Linear(10, CLASSES)
        self.lif1, self.lif2 = snn.Leaky(beta=0.9, spike_grad=fire), snn.Leaky(beta=0.8, spike_grad=fire)

    def forward(self, x: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        mem1, mem2 = (None, None) if state is None else state
        spikes, mem1 = self.lif1(self.first(x.flatten(1)), mem1)
        spikes, mem2 = self.lif2(self.second(spikes), mem2)
        return spikes, [mem1, mem2]


class SnnTutorial(nn.Module):
    """As in snnTorch's tutorials: forward loops over a number of steps of its own, and returns spikes and potentials."""

    def __init__(self) -> None:
        super().__init__()
        snn = pytest.importorskip("snntorch")
        self.fc1, self.fc2 = nn.Linear(128, 10), nn.Linear(10, CLASSES)
        self.lif1, self.lif2 = snn.Leaky(beta=0.9), snn.Leaky(beta=0.9)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, potentials = [], []
        for _ in range(STEPS):
            spk1, mem1 = self.lif1(self.fc1(x.flatten(1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            potentials.append(mem2)
        return torch.stack(spikes), torch.stack(potentials)


class SnnBatchFirst(nn.Module):
    """Loops over the second dimension of x [B, T, ...], with snnTorch's own reset of every neuron there is."""

    def __init__(self) -> None:
        super().__init__()
        self.body = snn_sequential()

    def forward(self, x: Tensor) -> Tensor:
        from snntorch import utils

        utils.reset(self.body)
        return torch.stack([self.body(x[:, t])[0] for t in range(x.shape[1])], dim=1)


# --------------------------------------------------------------------------- plain PyTorch


class PlainExplicit(nn.Module):
    """Neurons written by hand, state as an argument, made by a method of the module."""

    def __init__(self) -> None:
        super().__init__()
        self.weights, self.readout = nn.Linear(128, 10), nn.Linear(10, CLASSES)

    def init_state(self, batch: int) -> Tensor:
        return self.weights.weight.new_zeros(batch, 10)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        v = 0.9 * state + self.weights(x.flatten(1))
        spikes = Heaviside.apply(v - 1)
        return self.readout(spikes), v - spikes


FRAME = (2, 8, 8)
# name: (make, time, what forward takes)
NETS: dict[str, tuple[Any, str, str]] = {
    "sj-single-step": (sj_single_step, "single-step", "frame"),
    "sj-multi-step": (sj_multi_step, "multi-step", "sequence"),
    "sj-multi-step-norm": (sj_multi_step_norm, "multi-step", "sequence"),
    "sj-catalogue": (sj_catalogue, "single-step", "frame"),
    "sj-catalogue-multi-step": (sj_catalogue_multi_step, "multi-step", "sequence"),
    "sj-dense": (sj_dense, "single-step", "frame"),
    "sj-residual": (SjResidual, "single-step", "frame"),
    "sj-dropout": (sj_dropout, "multi-step", "sequence"),
    "sj-averaging": (sj_averaging, "multi-step", "sequence"),
    "sj-loop": (SjLoop, "own loop", "sequence"),
    "sj-repeats": (SjRepeats, "multi-step", "frame"),
    "snn-sequential": (snn_sequential, "single-step", "frame"),
    "snn-recurrent": (snn_recurrent, "single-step", "frame"),
    "snn-lstm": (snn_lstm, "single-step", "frame"),
    "snn-leaky": (snn_leaky, "single-step", "frame"),
    "snn-explicit": (SnnExplicit, "explicit state", "frame"),
    "snn-tutorial": (SnnTutorial, "own loop", "frame"),
    "snn-batch-first": (SnnBatchFirst, "own loop", "sequence, batch first"),
    "plain-explicit": (PlainExplicit, "explicit state", "frame"),
}
