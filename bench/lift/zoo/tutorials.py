"""The networks of snnTorch's tutorials and of its neurons' documentation, written again.

In the tutorials ``forward`` loops over time and keeps the potentials in variables ("own loop"). With ``init_hidden=True`` the
same layers stand in a row, and a call is one time step ("single-step").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import snntorch as snn
import torch
from snntorch import surrogate
from torch import Tensor, nn

Surrogate = Callable[[Tensor], Tensor]
Size = Literal["real", "small"]


class _FastSigmoid(torch.autograd.Function):
    """snnTorch's fast sigmoid, but spikes have the type of their input: its own are float32, and no network runs in float64."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        x: Tensor = ctx.saved_tensors[0]
        return gradients[0] / (25 * x.abs() + 1) ** 2


def _of_any_type(x: Tensor) -> Tensor:
    spikes: Tensor = _FastSigmoid.apply(x)
    return spikes


@dataclass(frozen=True)
class Widths:
    """Numbers of neurons in a dense hidden layer, and of channels of two convolutions."""

    hidden: int
    channels: tuple[int, int]


WIDTHS: Mapping[Size, Widths] = {"real": Widths(1000, (12, 64)), "small": Widths(20, (3, 4))}
EVENTS: Mapping[Size, Widths] = {"real": Widths(1000, (12, 32)), "small": Widths(20, (3, 4))}
PIXELS, CLASSES = 28 * 28, 10


class FeedForward(nn.Module):
    """Two dense layers; ``T`` steps of one image."""

    def __init__(self, widths: Widths, spike: Surrogate, T: int) -> None:
        super().__init__()
        self.T = T
        self.fc1, self.lif1 = nn.Linear(PIXELS, widths.hidden), snn.Leaky(beta=0.95, spike_grad=spike)
        self.fc2, self.lif2 = nn.Linear(widths.hidden, CLASSES), snn.Leaky(beta=0.95, spike_grad=spike)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, potentials = [], []
        for _ in range(self.T):
            spk1, mem1 = self.lif1(self.fc1(x.flatten(1)), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            potentials.append(mem2)
        return torch.stack(spikes), torch.stack(potentials)


class Convolutional(nn.Module):
    """Two convolutions and a dense layer; ``T`` steps of one image."""

    def __init__(self, widths: Widths, spike: Surrogate, T: int) -> None:
        super().__init__()
        self.T = T
        one, two = widths.channels
        self.conv1, self.lif1 = nn.Conv2d(1, one, 5), snn.Leaky(beta=0.5, spike_grad=spike)
        self.conv2, self.lif2 = nn.Conv2d(one, two, 5), snn.Leaky(beta=0.5, spike_grad=spike)
        self.pool = nn.MaxPool2d(2)
        self.fc1, self.lif3 = nn.Linear(two * 4 * 4, CLASSES), snn.Leaky(beta=0.5, spike_grad=spike)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mem1, mem2, mem3 = self.lif1.init_leaky(), self.lif2.init_leaky(), self.lif3.init_leaky()
        spikes, potentials = [], []
        for _ in range(self.T):
            spk1, mem1 = self.lif1(self.pool(self.conv1(x)), mem1)
            spk2, mem2 = self.lif2(self.pool(self.conv2(spk1)), mem2)
            spk3, mem3 = self.lif3(self.fc1(spk2.flatten(1)), mem3)
            spikes.append(spk3)
            potentials.append(mem3)
        return torch.stack(spikes), torch.stack(potentials)


def dense(widths: Widths, neuron: Callable[[int], nn.Module]) -> nn.Module:
    """Two dense layers of any neurons; ``neuron(features)`` makes a layer of them."""
    return nn.Sequential(
        nn.Flatten(),
        *(nn.Linear(PIXELS, widths.hidden), neuron(widths.hidden)),
        *(nn.Linear(widths.hidden, CLASSES), neuron(CLASSES)),
    )


def convolutional(widths: Widths, spike: Surrogate, inputs: int, side: int) -> nn.Module:
    """Convolution, pooling, neurons, twice, and a dense layer; ``side`` of the image before that layer."""
    one, two = widths.channels
    return nn.Sequential(
        *(nn.Conv2d(inputs, one, 5), nn.MaxPool2d(2), snn.Leaky(beta=0.5, spike_grad=spike, init_hidden=True)),
        *(nn.Conv2d(one, two, 5), nn.MaxPool2d(2), snn.Leaky(beta=0.5, spike_grad=spike, init_hidden=True)),
        *(nn.Flatten(), nn.Linear(two * side * side, CLASSES), snn.Leaky(beta=0.5, spike_grad=spike, init_hidden=True)),
    )


def convolutional_lstm(widths: Widths, spike: Surrogate) -> nn.Module:
    one, two = widths.channels
    return nn.Sequential(
        snn.SConv2dLSTM(2, one, 5, max_pool=2, spike_grad=spike, init_hidden=True),
        snn.SConv2dLSTM(one, two, 5, max_pool=2, spike_grad=spike, init_hidden=True),
        *(nn.Flatten(), nn.Linear(two * 8 * 8, CLASSES), snn.Leaky(beta=0.5, spike_grad=spike, init_hidden=True)),
    )


def make(name: str, size: Size, T: int) -> nn.Module:
    """Make a network by name; ``T``: time steps of those that loop over time themselves."""
    spike: Surrogate = surrogate.fast_sigmoid(slope=25) if size == "real" else _of_any_type
    widths = (EVENTS if name in ("convolutional-events", "sconv2dlstm") else WIDTHS)[size]
    kept: dict[str, object] = {"spike_grad": spike, "init_hidden": True}
    match name:
        case "feed-forward/loop":
            return FeedForward(widths, spike, T)
        case "convolutional/loop":
            return Convolutional(widths, spike, T)
        case "feed-forward/s":
            return dense(widths, lambda _: snn.Leaky(beta=0.95, **kept))
        case "convolutional/s":
            return convolutional(widths, spike, inputs=1, side=4)
        case "convolutional-events":
            return convolutional(widths, spike, inputs=2, side=5)
        case "rleaky":
            return dense(widths, lambda features: snn.RLeaky(beta=0.9, linear_features=features, **kept))
        case "synaptic":
            return dense(widths, lambda _: snn.Synaptic(alpha=0.9, beta=0.8, **kept))
        case "alpha":
            return dense(widths, lambda _: snn.Alpha(alpha=0.9, beta=0.8, **kept))
        case "sconv2dlstm":
            return convolutional_lstm(widths, spike)
    raise ValueError(name)
