"""An snnTorch network for frames [1, 28, 28]."""

from __future__ import annotations

import snntorch as snn
from torch import nn


def make_net() -> nn.Module:
    """One convolution and two dense layers with states inside the neurons."""
    return nn.Sequential(
        nn.AvgPool2d(2),
        nn.Conv2d(1, 8, 3, padding=1),
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 7 * 7, 64),
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.Linear(64, 10),
    )
