"""What both examples share: scikit-learn's digits, and a training on them by an algorithm that is chosen by one word."""

from __future__ import annotations

from collections.abc import Callable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

import spikecost

T, BATCH, EPOCHS, TRAINED = 16, 64, 2, 1500
ALGORITHMS = ("bptt", "checkpointed", "skipper", "tbptt", "sltt")
OPTIONS = {"checkpointed": {"segments": 4}, "skipper": {"segments": 2, "p": 50}, "tbptt": {"K": 4}, "sltt-k": {"k": 8}}


def digits() -> tuple[Tensor, Tensor]:
    """Return 1,797 images [N, 1, 8, 8] with values from 0 to 1, and their labels [N]."""
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images, dtype=torch.float32).view(-1, 1, 8, 8) / 16, torch.tensor(labels)


def train(make_net: Callable[[], nn.Module], reset: Callable[[nn.Module], None], algorithm: str) -> list[float]:
    """Train on the first 1,500 images; return the accuracy in per cent on the others after each epoch.

    ``reset(net)`` puts the states of all neurons to their initial values.
    """
    torch.manual_seed(0)
    images, labels = digits()
    net = make_net()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
    step = spikecost.training_step(net, algorithm, optimizer=optimizer, **OPTIONS.get(algorithm, {}))
    accuracies = []
    for epoch in range(EPOCHS):
        net.train()
        for rows in torch.randperm(TRAINED).split(BATCH):
            x = images[rows].expand(T, -1, -1, -1, -1)
            loss = step(x, labels[rows])
        net.eval()
        with torch.no_grad():
            reset(net)
            outputs = sum(net(images[TRAINED:]) for _ in range(T))
            reset(net)
        accuracies.append(100 * (outputs.argmax(1) == labels[TRAINED:]).double().mean().item())
        print(f"{algorithm}, epoch {epoch + 1}: loss {loss:.3f}, accuracy {accuracies[-1]:.1f} %")
    return accuracies
