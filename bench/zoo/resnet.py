"""Residual networks.

NF-ResNet-34 (OTTT, ImageNet): normaliser-free, pre-activation, sWS convolutions. A block is

    a = 2.74 * LIF(x / beta),   y = alpha * gain * conv(2.74 * LIF(conv(a))) + (conv1x1(a) at a transition, else x)

with alpha = 0.2, a learnable scalar gain that starts at 0, and beta = sqrt of the expected variance of x, which grows by
alpha^2 per block and is reset to 1 + alpha^2 after a transition.

ResNet-18 (SLTT, CIFAR): pre-activation with batch norm. A block is

    a = LIF(BN(x)),   y = conv(LIF(BN(conv(a)))) + (conv1x1(a) at a transition, else a)

so that identity shortcuts also carry the spikes after the first BN and LIF.
"""

from __future__ import annotations

from bench.spec import AdaptiveAvgPool, AvgPool, BatchNorm, Conv, Dense, Flatten, Gain, Layer, NetworkSpec, Residual, Scale, Spike
from bench.zoo.vgg import GAMMA, OTTT_NEURON, SLTT_NEURON

ALPHA = 0.2


def _fire(beta: float) -> tuple[Layer, ...]:
    return (Scale(1 / beta), Spike(OTTT_NEURON), Scale(GAMMA))


def _sws(channels: int, kernel: int = 3, stride: int = 1) -> Conv:
    return Conv(channels, kernel, stride, padding=kernel // 2, standardised=True)


def nf_resnet34() -> NetworkSpec:
    layers: list[Layer] = [_sws(64, kernel=7, stride=2), AvgPool(3, 2, padding=1)]
    variance = 1.0
    for stage, (blocks, channels) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True)):
        for block in range(blocks):
            transition = stage > 0 and block == 0
            stride = 2 if transition else 1
            layers.append(
                Residual(
                    pre=_fire(variance**0.5),
                    body=(_sws(channels, stride=stride), *_fire(1.0)[1:], _sws(channels), Gain(ALPHA)),
                    shortcut=(_sws(channels, kernel=1, stride=stride),) if transition else (),
                    shortcut_of="activated" if transition else "input",
                )
            )
            variance = 1 + ALPHA**2 if transition else variance + ALPHA**2
    layers += [AdaptiveAvgPool(1), Flatten(), Dense(1000, init="zero")]
    source = "OTTT, Xiao et al. 2022, and its public code"
    return NetworkSpec("nf-resnet34/imagenet", (3, 224, 224), 1000, tuple(layers), OTTT_NEURON, 21_797_688, source)


def resnet18(dataset: str, classes: int, parameters: int) -> NetworkSpec:
    fire: tuple[Layer, ...] = (BatchNorm(), Spike(SLTT_NEURON))
    layers: list[Layer] = [Conv(64, bias=False)]
    channels_in = 64
    for stage, channels in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            transition = stride != 1 or channels_in != channels
            layers.append(
                Residual(
                    pre=fire,
                    body=(Conv(channels, stride=stride), *fire, Conv(channels)),
                    shortcut=(Conv(channels, 1, stride, 0),) if transition else (),
                    shortcut_of="activated",
                )
            )
            channels_in = channels
    layers += [*fire, AvgPool(4, 4), Flatten(), Dense(classes, init="default, zero bias")]
    source = "SLTT, Meng et al. 2023, and its public code"
    return NetworkSpec(f"resnet18/{dataset}", (3, 32, 32), classes, tuple(layers), SLTT_NEURON, parameters, source)


NETWORKS = (nf_resnet34(), resnet18("cifar10", 10, 11_176_906), resnet18("cifar100", 100, 11_223_076))
