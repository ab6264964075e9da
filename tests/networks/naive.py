"""A second, independent implementation of every network of the papers, from its fact sheet: plain loops and functions.

It is ``forward(w, x[T, B, ...]) -> outs[T, B, classes]``. It takes its parameters from ``w`` one by one, each with the shape in
the fact sheet: weight, gain and bias of a layer; those of a block in the order of its layers, the shortcut last. Dropout masks
of neurons are drawn at the first time step, layer after layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.networks.pieces import (
    DECOLLE,
    HYBRID,
    LIF,
    OTTT,
    SLTT,
    TTL,
    Layer,
    Parameters,
    batch_norm,
    conv,
    dense,
    halved,
    over_time,
    standardised,
)

CLASSES = {
    "cifar10": 10,
    "cifar100": 100,
    "cifar10-dvs": 10,
    "dvs-gesture": 11,
    "imagenet": 1000,
    "fashion-mnist": 10,
    "n-mnist": 10,
    "randman": 10,
    "shd": 20,
}
GAMMA = 2.74

# --------------------------------------------------------------------------- OTTT (ottt.md 1.7)

VGG = (64, 128, "AP2", 256, 256, "AP2", 512, 512, "AP2", 512, 512)


def vgg_features(w: Parameters, channels: int, neurons: Callable[[], Layer]) -> list[Layer]:
    layers: list[Layer] = []
    for item in VGG:
        if item == "AP2":
            layers.append(halved)
        else:
            layers += [standardised(w, channels, item), neurons(), lambda s: GAMMA * s]
            channels = item
    return layers


def vgg_sws(w: Parameters, x: Tensor, dataset: str) -> Tensor:
    dropout = 0.1 if dataset == "cifar10-dvs" else 0.0
    layers = vgg_features(w, x.shape[2], lambda: OTTT(dropout=dropout))
    return over_time(x, [*layers, lambda s: s.mean((2, 3)), dense(w, 512, CLASSES[dataset])])


def vgg_sws_ann(w: Parameters, x: Tensor, dataset: str) -> Tensor:
    layers = vgg_features(w, x.shape[2], lambda: torch.relu)
    return over_time(x, [*layers, lambda y: y.mean((2, 3)), dense(w, 512, CLASSES[dataset])])


def vgg_f(w: Parameters, x: Tensor, dataset: str) -> Tensor:
    """The last feature map of the step before, upsampled 8 times, adds to the first neurons through a convolution."""
    first, *rest = vgg_features(w, x.shape[2], OTTT)
    feedback = conv(w, 512, 64)
    readout = dense(w, 512, CLASSES[dataset])
    outs, last = [], None
    for x_t in x:
        y = first(x_t)
        if last is not None:
            y = y + feedback(last.repeat_interleave(8, 2).repeat_interleave(8, 3))
        for layer in rest:
            y = layer(y)
        last = y
        outs.append(readout(y.mean((2, 3))))
    return torch.stack(outs)


def nf_resnet(w: Parameters, x: Tensor, dataset: str, *, neurons: Callable[[], Layer] = OTTT) -> Tensor:
    stem = standardised(w, x.shape[2], 64, 7, 2)
    blocks: list[Layer] = []
    channels, variance = 64, 1.0
    for stage, (count, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512))):
        for i in range(count):
            transition = stage > 0 and i == 0
            stride = 2 if transition else 1
            first, second, gain = standardised(w, channels, width, 3, stride), standardised(w, width, width), w()
            pointwise = standardised(w, channels, width, 1, stride) if transition else None
            blocks.append(nf_block([first, second], gain, pointwise, variance**0.5, neurons))
            variance = 1 + 0.2**2 if transition else variance + 0.2**2
            channels = width
    readout = dense(w, 512, CLASSES[dataset])
    return over_time(x, [stem, lambda y: F.avg_pool2d(y, 3, 2, 1), *blocks, lambda y: y.mean((2, 3)), readout])


def nf_block(convs: list[Layer], gain: Tensor, pointwise: Layer | None, beta: float, neurons: Callable[[], Layer]) -> Layer:
    own = [neurons() for _ in convs]

    def forward(x: Tensor) -> Tensor:
        o = own[0](x / beta) * GAMMA
        identity = x if pointwise is None else pointwise(o)
        for convolve, fire in zip(convs[:-1], own[1:], strict=True):
            o = fire(convolve(o)) * GAMMA
        return convs[-1](o) * gain * 0.2 + identity

    return forward


def r400(w: Parameters, x: Tensor, dataset: str) -> Tensor:
    entry, recurrent, readout = dense(w, 784, 400), dense(w, 400, 400), dense(w, 400, CLASSES[dataset])
    neurons, outs, s = OTTT(), [], None
    for x_t in x:
        current = entry(x_t.flatten(1))
        s = neurons(current if s is None else current + recurrent(s))
        outs.append(readout(s))
    return torch.stack(outs)


# --------------------------------------------------------------------------- SLTT (sltt.md 4)


def resnet18(w: Parameters, x: Tensor, dataset: str) -> Tensor:
    layers = [conv(w, x.shape[2], 64, bias=False)]
    channels = 64
    for width, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        norms_and_convs = (
            batch_norm(w, channels), conv(w, channels, width, 3, stride), batch_norm(w, width), conv(w, width, width),
        )  # fmt: skip
        pointwise = conv(w, channels, width, 1, stride) if (channels, stride) != (width, 1) else None
        layers.append(preactivation_block(*norms_and_convs, pointwise))
        channels = width
    head = [batch_norm(w, 512), SLTT(), lambda s: F.avg_pool2d(s, 4).flatten(1), dense(w, 512, CLASSES[dataset])]
    return over_time(x, [*layers, *head])


def preactivation_block(norm1: Layer, conv1: Layer, norm2: Layer, conv2: Layer, pointwise: Layer | None) -> Layer:
    """Identity shortcuts also read the spikes after the first batch norm and neurons."""
    neurons, inner = SLTT(), SLTT()

    def forward(x: Tensor) -> Tensor:
        x = neurons(norm1(x))
        out = conv2(inner(norm2(conv1(x))))
        return out + (x if pointwise is None else pointwise(x))

    return forward


def vgg11_bn(w: Parameters, x: Tensor, dataset: str) -> Tensor:
    dropout = {"cifar10-dvs": 0.3, "dvs-gesture": 0.4}[dataset]
    layers: list[Layer] = []
    channels = x.shape[2]
    for stage in ((64,), (128,), (256, 256), (512, 512), (512, 512)):
        for width in stage:
            layers += [conv(w, channels, width), batch_norm(w, width), SLTT(dropout=dropout)]
            channels = width
        layers.append(halved)
    head = [lambda s: F.adaptive_avg_pool2d(s, (7, 7)).flatten(1), dense(w, 25_088, CLASSES[dataset])]
    return over_time(x, [*layers, *head])


def nf_bottlenecks(w: Parameters, x: Tensor, dataset: str, *, third: int) -> Tensor:
    """NF-ResNet with bottleneck blocks, ``third`` of them in the third stage."""
    stem = standardised(w, x.shape[2], 64, 7, 2)
    blocks: list[Layer] = []
    inputs, since_transition = 64, 0
    for count, width, stride in ((3, 64, 1), (4, 128, 2), (third, 256, 2), (3, 512, 2)):
        for i in range(count):
            convs = [
                standardised(w, inputs, width, 1), standardised(w, width, width, 3, stride if i == 0 else 1),
                standardised(w, width, 4 * width, 1),
            ]  # fmt: skip
            gain = w()
            pointwise = standardised(w, inputs, 4 * width, 1, stride) if i == 0 else None
            blocks.append(nf_block(convs, gain, pointwise, (1 + 0.04 * since_transition) ** 0.5, SLTT))
            since_transition = 1 if i == 0 else since_transition + 1
            inputs = 4 * width
    readout = dense(w, 2048, CLASSES[dataset])
    return over_time(x, [stem, lambda y: F.avg_pool2d(y, 3, 2, 1), *blocks, lambda y: y.mean((2, 3)), readout])


# --------------------------------------------------------------------------- hybrid conversion, DECOLLE (skipper.md 4)


def hybrid_features(w: Parameters, channels: int, items: str) -> list[Layer]:
    """An average pool replaces the dropout before it."""
    layers: list[Layer] = []
    words = items.split()
    for word, after in zip(words, [*words[1:], ""], strict=True):
        if word == "A":
            layers.append(halved)
        else:
            layers += [conv(w, channels, int(word), bias=False), HYBRID(dropout=0.0 if after == "A" else 0.3)]
            channels = int(word)
    return layers


def hybrid_vgg(w: Parameters, x: Tensor, dataset: str, *, items: str, hidden: int) -> Tensor:
    layers = hybrid_features(w, x.shape[2], items)
    side = x.shape[3] // 2 ** items.count("A")
    inputs = int(items.split()[-1 if items[-1] != "A" else -2]) * side * side
    head: list[Layer] = [lambda s: s.flatten(1)]
    for features in (hidden, hidden):
        head += [dense(w, inputs, features, bias=False), HYBRID(dropout=0.5)]
        inputs = features
    return over_time(x, [*layers, *head, dense(w, inputs, CLASSES[dataset], bias=False)])


def resnet20(w: Parameters, x: Tensor, dataset: str) -> Tensor:
    layers = hybrid_features(w, x.shape[2], "64 64 64 A")
    channels = 64
    for width, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        first, second = conv(w, channels, width, 3, stride, bias=False), conv(w, width, width, bias=False)
        pointwise = conv(w, channels, width, 1, stride, bias=False) if (channels, stride) != (width, 1) else None
        layers.append(hybrid_block(first, second, pointwise))
        channels = width
    side = x.shape[3] // 16
    return over_time(x, [*layers, lambda s: s.flatten(1), dense(w, 512 * side * side, CLASSES[dataset], bias=False)])


def hybrid_block(first: Layer, second: Layer, pointwise: Layer | None) -> Layer:
    inner, neurons = HYBRID(dropout=0.3), HYBRID()
    return lambda x: neurons(second(inner(first(x))) + (x if pointwise is None else pointwise(x)))


def lenet(w: Parameters, x: Tensor, dataset: str) -> Tensor:
    layers = [
        conv(w, 2, 64, 7), DECOLLE(), halved, conv(w, 64, 128, 7), DECOLLE(), conv(w, 128, 128, 7), DECOLLE(), halved,
    ]  # fmt: skip
    side = x.shape[3] // 4
    return over_time(x, [*layers, lambda s: s.flatten(1), dense(w, 128 * side * side, CLASSES[dataset])])


# --------------------------------------------------------------------------- TTL-BPTT's candidate (ttl_bptt.md 5.1)


def alexnet(w: Parameters, x: Tensor, dataset: str, *, pools: tuple[int, ...]) -> Tensor:
    """``pools``: indices of the convolutions that are followed by a pool."""
    layers: list[Layer] = []
    channels, side = x.shape[2], x.shape[3]
    for number, width in enumerate((96, 256, 384, 384, 256), 1):
        layers += [conv(w, channels, width), TTL()]
        channels = width
        if number in pools:
            layers.append(halved)
            side //= 2
    layers += [lambda s: s.flatten(1), dense(w, 256 * side * side, 1024), TTL(), dense(w, 1024, 1024), TTL(), dense(w, 1024, 10)]
    return over_time(x, layers)


# --------------------------------------------------------------------------- OTPE (otpe.md 2, 5)


def otpe(w: Parameters, x: Tensor, dataset: str, *, hidden: Sequence[int]) -> Tensor:
    """The output layer spikes too; leak sigmoid(3), the gradient passes through the reset."""
    kind, k = dataset.split("-k")
    layers: list[Layer] = []
    size = x.shape[2]
    for width in (*hidden, CLASSES[kind]):
        layers += [dense(w, size, width), LIF(float(torch.tensor(3.0, dtype=torch.float64).sigmoid()), f"k = {k}", attached=True)]
        size = width
    return over_time(x, layers)


STATEMENTS: dict[str, Callable[[Parameters, Tensor, str], Tensor]] = {
    "vgg-sws": vgg_sws,
    "vgg-sws-ann": vgg_sws_ann,
    "vgg-f": vgg_f,
    "nf-resnet34": nf_resnet,
    "nf-resnet34-sltt": partial(nf_resnet, neurons=SLTT),
    "nf-resnet50-sltt": partial(nf_bottlenecks, third=6),
    "nf-resnet101-sltt": partial(nf_bottlenecks, third=23),
    "r400": r400,
    "resnet18": resnet18,
    "vgg11-bn": vgg11_bn,
    "vgg5": partial(hybrid_vgg, items="64 A 128 128 A", hidden=4096),
    "vgg11": partial(hybrid_vgg, items="64 A 128 256 256 A 512 512 512 A 512 512", hidden=1024),
    "resnet20": resnet20,
    "lenet": lenet,
    "alexnet": partial(alexnet, pools=(2, 3, 5)),
    "alexnet-unpooled": partial(alexnet, pools=(2, 3)),
    **{f"otpe-3x{width}": partial(otpe, hidden=(width,) * 2) for width in (128, 256, 384, 512)},
    "otpe-5x128": partial(otpe, hidden=(128,) * 4),
}
