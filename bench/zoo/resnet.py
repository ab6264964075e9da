"""ResNet-18 for CIFAR (SLTT, Meng et al. 2023): pre-activation with batch norm. A block is

    a = LIF(BN(x)),   y = conv(LIF(BN(conv(a)))) + (conv1x1(a) at a transition, else a)

so that identity shortcuts also carry the spikes after the first BN and LIF.
"""

from __future__ import annotations

from bench.spec import AvgPool, BatchNorm, Conv, Dense, Flatten, Layer, NetworkSpec, Residual, Spike
from bench.zoo.vgg import SLTT_NEURON


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


NETWORKS = (resnet18("cifar10", 10, 11_176_906), resnet18("cifar100", 100, 11_223_076))
