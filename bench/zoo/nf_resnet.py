"""NF-ResNets for ImageNet: normaliser-free, pre-activation, sWS convolutions. A block is

    a = 2.74 * LIF(x / beta),   y = alpha * gain * conv(2.74 * LIF(conv(a))) + (conv1x1(a) at a transition, else x)

with alpha = 0.2, a learnable scalar gain that starts at 0, and beta = sqrt of the expected variance of x, which grows by
alpha^2 per block and is reset to 1 + alpha^2 after a transition. The bottleneck block of depths 50 and 101 has three
convolutions, 1x1 - 3x3 - 1x1 with the stride in the second, and four times as many channels after the last.

OTTT (Xiao et al. 2022) trains NF-ResNet-34, SLTT (Meng et al. 2023) the depths 34, 50 and 101 with neurons of its own.
"""

from __future__ import annotations

from bench.spec import (
    AdaptiveAvgPool,
    AvgPool,
    Conv,
    Dense,
    Flatten,
    Gain,
    Layer,
    NetworkSpec,
    NeuronSpec,
    Residual,
    Scale,
    Spike,
)
from bench.zoo.vgg import GAMMA, OTTT_NEURON, SLTT_NEURON

ALPHA = 0.2
_OTTT = "OTTT, Xiao et al. 2022, and its public code"
_SLTT = "SLTT, Meng et al. 2023, and its public code"


def _sws(channels: int, kernel: int = 3, stride: int = 1) -> Conv:
    return Conv(channels, kernel, stride, padding=kernel // 2, standardised=True)


def _network(
    name: str, neuron: NeuronSpec, blocks: tuple[int, ...], parameters: int, source: str, *, bottleneck: bool = False
) -> NetworkSpec:
    """``blocks`` per stage."""
    fire = (Spike(neuron), Scale(GAMMA))
    layers: list[Layer] = [_sws(64, kernel=7, stride=2), AvgPool(3, 2, padding=1)]
    variance, channels_in = 1.0, 64
    for stage, (count, width) in enumerate(zip(blocks, (64, 128, 256, 512), strict=True)):
        channels = 4 * width if bottleneck else width
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            transition = stride != 1 or channels_in != channels
            body: tuple[Layer, ...]
            if bottleneck:
                body = (_sws(width, kernel=1), *fire, _sws(width, stride=stride), *fire, _sws(channels, kernel=1))
            else:
                body = (_sws(width, stride=stride), *fire, _sws(width))
            layers.append(
                Residual(
                    pre=(Scale(1 / variance**0.5), *fire),
                    body=(*body, Gain(ALPHA)),
                    shortcut=(_sws(channels, kernel=1, stride=stride),) if transition else (),
                    shortcut_of="activated" if transition else "input",
                )
            )
            variance = 1 + ALPHA**2 if transition else variance + ALPHA**2
            channels_in = channels
    layers += [AdaptiveAvgPool(1), Flatten(), Dense(1000, init="zero")]
    return NetworkSpec(f"{name}/imagenet", (3, 224, 224), 1000, tuple(layers), neuron, parameters, source)


NETWORKS = (
    _network("nf-resnet34", OTTT_NEURON, (3, 4, 6, 3), 21_797_688, _OTTT),
    _network("nf-resnet34-sltt", SLTT_NEURON, (3, 4, 6, 3), 21_797_688, _SLTT),
    _network("nf-resnet50-sltt", SLTT_NEURON, (3, 4, 6, 3), 25_557_048, _SLTT, bottleneck=True),
    _network("nf-resnet101-sltt", SLTT_NEURON, (3, 4, 23, 3), 44_549_193, _SLTT, bottleneck=True),
)
