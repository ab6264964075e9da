"""An snnTorch network on scikit-learn's digits, trained by an algorithm that is chosen by one word.

python examples/snntorch_network.py tbptt
"""

from __future__ import annotations

import sys

import snntorch as snn
from digits import ALGORITHMS, train
from snntorch import utils
from torch import nn


def make_net() -> nn.Module:
    """One convolution and two dense layers with states inside the neurons, for frames [1, 8, 8]."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * 4 * 4, 64),
        snn.Synaptic(alpha=0.7, beta=0.9, init_hidden=True),
        nn.Linear(64, 10),
    )


if __name__ == "__main__":
    for name in sys.argv[1:] or ALGORITHMS:
        train(make_net, utils.reset, name)
