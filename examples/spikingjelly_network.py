"""A SpikingJelly network on scikit-learn's digits, trained by an algorithm that is chosen by one word.

python examples/spikingjelly_network.py checkpointed
"""

from __future__ import annotations

import sys

import torch
from sklearn.datasets import load_digits
from spikingjelly.activation_based import functional, layer, neuron, surrogate
from torch import Tensor, nn

import spikecost

T, BATCH, EPOCHS = 16, 64, 2
OPTIONS = {"checkpointed": {"segments": 4}, "skipper": {"segments": 2, "p": 50}, "tbptt": {"K": 4}, "sltt-k": {"k": 8}}


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
        net.train()
        for rows in torch.randperm(1500).split(BATCH):
            x = images[rows].expand(T, -1, -1, -1, -1)
            loss = step(x, labels[rows])
        net.eval()
        with torch.no_grad():
            outputs = sum(net(images[1500:]) for _ in range(T))
            functional.reset_net(net)
        accuracies.append(100 * (outputs.argmax(1) == labels[1500:]).double().mean().item())
        print(f"{algorithm}, epoch {epoch + 1}: loss {loss:.3f}, accuracy {accuracies[-1]:.1f} %")
    return accuracies


if __name__ == "__main__":
    for name in sys.argv[1:] or ["bptt", "checkpointed", "skipper", "tbptt", "sltt"]:
        train(name)
