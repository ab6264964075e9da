"""1,000 training images and 500 test images of Fashion-MNIST, balanced over the classes."""

from __future__ import annotations

from bench.comparison import samples


def load() -> samples.Samples:
    return samples.of_the_suite("fashion-mnist", train=1000, test=500)
