"""A SpikingJelly network on scikit-learn's digits, trained by an algorithm that is chosen by one word.

python examples/spikingjelly_network.py checkpointed
"""

from __future__ import annotations

import sys

from digits import ALGORITHMS, train
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import nn


def make_net() -> nn.Module:
    """Two convolutions and a readout, for frames [1, 8, 8]."""

    def lif() -> nn.Module:
        return neuron.LIFNode(tau=2.0, detach_reset=True, surrogate_function=surrogate.ATan())

    net = nn.Sequential(
        layer.Conv2d(1, 16, 3, padding=1),
        layer.BatchNorm2d(16),
        lif(),
        layer.AvgPool2d(2),
        layer.Conv2d(16, 32, 3, padding=1),
        layer.BatchNorm2d(32),
        lif(),
        layer.AvgPool2d(2),
        layer.Flatten(),
        layer.Linear(32 * 2 * 2, 10),
    )
    functional.set_step_mode(net, "s")
    return net


if __name__ == "__main__":
    for name in sys.argv[1:] or ALGORITHMS:
        train(make_net, functional.reset_net, name)
