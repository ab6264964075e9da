"""An snnTorch network on scikit-learn's digits, trained by an algorithm that is chosen by one word.

python examples/snntorch_network.py tbptt
"""

from __future__ import annotations

import sys

import snntorch as snn
import torch
from sklearn.datasets import load_digits
from snntorch import utils
from torch import Tensor, nn

import spikecost

T, BATCH, EPOCHS = 16, 64, 2
OPTIONS = {"checkpointed": {"segments": 4}, "skipper": {"segments": 2, "p": 50}, "tbptt": {"K": 4}, "sltt-k": {"k": 8}}


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


def digits() -> tuple[Tensor, Tensor]:
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 16, torch.tensor(labels)


def train(algorithm: str) -> list[float]:
    """Return the accuracy on the last 297 images after each epoch."""
    torch.manual_seed(0)
    images, labels = digits()
    net = make_net()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    step = spikecost.training_step(net, algorithm, optimizer=optimizer, **OPTIONS.get(algorithm, {}))
    accuracies = []
    for epoch in range(EPOCHS):
        for rows in torch.randperm(1500).split(BATCH):
            x = images[rows].expand(T, -1, -1, -1, -1)
            loss = step(x, labels[rows])
        with torch.no_grad():
            utils.reset(net)
            outputs = sum(net(images[1500:]) for _ in range(T))
            utils.reset(net)
        accuracies.append(100 * (outputs.argmax(1) == labels[1500:]).double().mean().item())
        print(f"{algorithm}, epoch {epoch + 1}: loss {loss:.3f}, accuracy {accuracies[-1]:.1f} %")
    return accuracies


if __name__ == "__main__":
    for name in sys.argv[1:] or ["bptt", "checkpointed", "skipper", "tbptt", "sltt"]:
        train(name)
