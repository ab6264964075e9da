"""VGG5, VGG11 and ResNet20 as in the public code of hybrid conversion (Rathi et al. 2020), the only one with these three.

It is assumed that Skipper (Singh et al. 2022) trained these: its abstract names no network. Convolutions are 3x3 without bias,
pooling is 2x2 average, neurons are integrate-and-fire (no leak) with threshold 1 and soft reset. Dropout is 0.3 after
convolutions, except before a pool, and 0.5 after dense layers, with one mask per sequence. Two differences from that code: a
spike reaches the next layer in the same time step, there one step later; the surrogate is a triangle of height 1, there 0.3.
The input is a Poisson spike train, one frame per time step.
"""

from __future__ import annotations

from bench.spec import AvgPool, Conv, Dense, Flatten, Layer, NetworkSpec, NeuronSpec, Residual, Spike, Surrogate

NEURON = NeuronSpec(decay=1.0, surrogate=Surrogate("triangle", 1.0))
_SOURCE = "hybrid conversion, Rathi et al. 2020, public code; assumed for Skipper"
_POOL = AvgPool(2, 2)
_CONV_DROPOUT, _DENSE_DROPOUT = 0.3, 0.5


def _features(widths: tuple[int | str, ...]) -> tuple[Layer, ...]:
    layers: list[Layer] = []
    for i, width in enumerate(widths):
        if isinstance(width, str):
            layers.append(_POOL)
        else:
            pooled = i + 1 < len(widths) and isinstance(widths[i + 1], str)
            layers += [Conv(width, bias=False), Spike(NEURON, 0.0 if pooled else _CONV_DROPOUT)]
    return tuple(layers)


def _head(hidden: tuple[int, ...], classes: int) -> tuple[Layer, ...]:
    layers: list[Layer] = [Flatten()]
    for width in hidden:
        layers += [Dense(width, bias=False, init="default"), Spike(NEURON, _DENSE_DROPOUT)]
    return (*layers, Dense(classes, bias=False, init="default"))


def _vgg(name: str, widths: tuple[int | str, ...], hidden: int, classes: int, parameters: int) -> NetworkSpec:
    layers = (*_features(widths), *_head((hidden, hidden), classes))
    return NetworkSpec(name, (3, 32, 32), classes, layers, NEURON, parameters, _SOURCE, "frames")


def _vgg5_small(dataset: str) -> NetworkSpec:
    """VGG5 with one hidden dense layer instead of two: with two, too few spikes reach the output to train in a few epochs."""
    layers = (*_features((8, "A", 16, 16, "A")), *_head((256,), 10))
    source = "this suite: an eighth of VGG5's widths, one hidden dense layer"
    return NetworkSpec(f"vgg5-small/{dataset}", (3, 32, 32), 10, layers, NEURON, 268_376, source, "frames")


def _block(channels: int, stride: int, widens: bool) -> tuple[Layer, ...]:
    body = (
        Conv(channels, stride=stride, bias=False), Spike(NEURON, _CONV_DROPOUT), Conv(channels, bias=False),
    )  # fmt: skip
    shortcut = (Conv(channels, kernel=1, stride=stride, padding=0, bias=False),) if widens else ()
    return (Residual((), body, shortcut), Spike(NEURON))


def _resnet20(dataset: str, classes: int, parameters: int) -> NetworkSpec:
    stem = _features((64, 64, 64, "A"))
    blocks: list[Layer] = []
    for channels, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [*_block(channels, stride, widens=stride > 1), *_block(channels, 1, widens=False)]
    layers = (*stem, *blocks, *_head((), classes))
    return NetworkSpec(f"resnet20/{dataset}", (3, 32, 32), classes, layers, NEURON, parameters, _SOURCE, "frames")


NETWORKS = (
    _vgg("vgg5/cifar10", (64, "A", 128, 128, "A"), 4096, 10, 50_595_520),
    _vgg("vgg11/cifar100", (64, "A", 128, 256, 256, "A", 512, 512, 512, "A", 512, 512), 1024, 100, 21_116_608),
    _resnet20("cifar10", 10, 11_253_440),
    _vgg5_small("cifar10"),
    _vgg5_small("digits"),
)
