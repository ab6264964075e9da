"""Small convolutional networks for events: a LeNet for DVS128 Gesture and a custom one for N-MNIST.

It is assumed that Skipper (Singh et al. 2022) trained networks like these: its abstract names none. The LeNet is DECOLLE's
(Kaiser, Mostafa, Neftci 2020): 64C7-AP2-128C7-128C7-AP2, here with padding that preserves sizes and without its dropout of 0.5;
events are summed to 32x32 pixels, 1 ms per time step. The custom network is ours: 12C5-AP2-64C5-AP2 and a dense readout, on the
full 34x34 frames.
"""

from __future__ import annotations

from bench.spec import AvgPool, Conv, Dense, Flatten, NetworkSpec, NeuronSpec, Spike, Surrogate

NEURON = NeuronSpec(decay=0.97, surrogate=Surrogate("triangle", 1.0))
_POOL = AvgPool(2, 2)


def _conv(channels: int, kernel: int, dropout: float = 0.0) -> tuple[Conv, Spike]:
    return Conv(channels, kernel, padding=kernel // 2), Spike(NEURON, dropout)


NETWORKS = (
    NetworkSpec(
        "lenet/dvs-gesture", (2, 32, 32), 11,
        (*_conv(64, 7), _POOL, *_conv(128, 7), *_conv(128, 7), _POOL, Flatten(), Dense(11, init="default")),
        NEURON, 1_300_939, "DECOLLE, Kaiser et al. 2020; assumed for Skipper", "frames",
    ),
    NetworkSpec(
        "custom/n-mnist", (2, 34, 34), 10,
        (*_conv(12, 5), _POOL, *_conv(64, 5), _POOL, Flatten(), Dense(10, init="default")),
        NEURON, 60_846, "this suite; assumed for Skipper", "frames",
    ),
)  # fmt: skip
