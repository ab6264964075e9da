"""A SpikingJelly network for frames [1, 28, 28]."""

from __future__ import annotations

from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn


def make_net() -> nn.Module:
    """Two convolutions and a readout; batch norm takes its statistics at each time step."""

    def lif() -> nn.Module:
        return neuron.LIFNode(tau=2.0, detach_reset=True, surrogate_function=surrogate.ATan())

    net = nn.Sequential(
        layer.AvgPool2d(2),
        layer.Conv2d(1, 8, 3, padding=1),
        layer.BatchNorm2d(8),
        lif(),
        layer.AvgPool2d(2),
        layer.Conv2d(8, 16, 3, padding=1),
        layer.BatchNorm2d(16),
        lif(),
        layer.Flatten(),
        layer.Linear(16 * 7 * 7, 10),
    )
    functional.set_step_mode(net, "s")
    return net
