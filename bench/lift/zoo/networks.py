"""Networks written by others: SpikingJelly's model zoo, and the networks of snnTorch's tutorials.

They are what the table in docs/zoo.md measures and what the checks of a user's own network run on. Every network is at the input
that it was made for, and has a small variant, of the least width and the smallest image that its constructor takes, for runs on
tensors with storage. A name ends in "/s" or "/m" where the network has both of SpikingJelly's step modes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Literal

from torch import nn

from bench.lift.recognition.parts import OptionValues
from bench.lift.recognition.timing import Encoding, Time

Shape = tuple[int, ...]
Step = Literal["s", "m"]


@dataclass(frozen=True)
class Sized:
    """A network and what it takes: ``frame``, the shape of one time step of one sample, and ``T`` time steps."""

    make: Callable[[], nn.Module]
    frame: Shape
    T: int


@dataclass(frozen=True)
class ZooNetwork:
    """``real``: at its own input; ``small``: for runs on tensors with storage, also in float64.

    ``time``: how it treats time; ``averages``: whether forward averages its output over time; ``encoding`` of its input.
    """

    framework: Literal["spikingjelly", "snntorch"]
    real: Sized
    small: Sized
    time: Time
    averages: bool = False
    encoding: Encoding = "repeat"


BATCH, T, SMALL_BATCH, SMALL_T = 32, 4, 2, 3
RGB, CIFAR, DVS, MNIST, NMNIST = (3, 224, 224), (3, 32, 32), (2, 128, 128), (1, 28, 28), (2, 34, 34)
_TIME: Mapping[Step, Time] = {"s": "single-step", "m": "multi-step"}
_STEPS: tuple[Step, ...] = ("s", "m")


def _encoding(frame: Shape) -> Encoding:
    """Events come as T different frames of two polarities, an image is repeated."""
    return "frames" if frame[0] == 2 else "repeat"


# --------------------------------------------------------------------------- SpikingJelly


def _of_layers(where: str, name: str, spiking: str, mode: Step, options: OptionValues) -> nn.Module:
    """Make a network of SpikingJelly's that takes the class of its neurons and has both step modes."""
    from spikingjelly.activation_based import functional, neuron, surrogate

    module = importlib.import_module(f"spikingjelly.activation_based.model.{where}")
    net: nn.Module = getattr(module, name)(
        spiking_neuron=getattr(neuron, spiking), surrogate_function=surrogate.ATan(), detach_reset=True, **options
    )
    functional.set_step_mode(net, mode)
    return net


def _built(name: str, options: OptionValues) -> nn.Module:
    """Make a network of SpikingJelly's that chooses its neurons itself."""
    from spikingjelly.activation_based import model

    net: nn.Module = getattr(model, name)(**options)
    return net


def _both_modes(
    where: str, names: tuple[str, ...], spiking: str, frame: Shape, small: Shape, few: OptionValues, **options: object
) -> Iterator[tuple[str, ZooNetwork]]:
    """Yield networks in both step modes; ``few``: what makes them small."""
    for name in names:
        for mode in _STEPS:
            made, least = (partial(_of_layers, where, name, spiking, mode, {**options, **more}) for more in ({}, few))
            real, little = Sized(made, frame, T), Sized(least, small, SMALL_T)
            yield f"{name}/{mode}", ZooNetwork("spikingjelly", real, little, _TIME[mode], encoding=_encoding(frame))


def _of_images(
    name: str,
    frame: Shape,
    small: Shape,
    few: OptionValues,
    *,
    steps: int = T,
    small_steps: int = SMALL_T,
    averages: bool = True,
) -> tuple[str, ZooNetwork]:
    """Return a network that repeats an image by T steps itself."""
    real = Sized(partial(_built, name, {"T": steps}), frame, steps)
    least = Sized(partial(_built, name, {"T": small_steps, **few}), small, small_steps)
    return name, ZooNetwork("spikingjelly", real, least, "multi-step", averages)


def _ottt(name: str) -> nn.Module:
    """Make a network of SpikingJelly's whose own rule of differentiation is that of OTTT."""
    from spikingjelly.activation_based.model import spiking_vggws_ottt

    net: nn.Module = getattr(spiking_vggws_ottt, name)()
    return net


def _ottt_small(name: str) -> nn.Module:
    """Make the network with a sixteenth of the channels but in the last layer, and the small classifier."""
    from spikingjelly.activation_based import neuron
    from spikingjelly.activation_based.model.spiking_vggws_ottt import OTTTSpikingVGG, cfgs

    layers = cfgs[{"vggws": "S", "vgg11": "A", "vgg13": "B", "vgg16": "D", "vgg19": "E"}[name.split("_")[2]]]
    last = max(i for i, width in enumerate(layers) if isinstance(width, int))
    widths = [width // 16 if isinstance(width, int) and i < last else width for i, width in enumerate(layers)]
    standardised = name.endswith("ws")
    net: nn.Module = OTTTSpikingVGG(widths, standardised, num_classes=10, spiking_neuron=neuron.OTTTLIFNode)
    return net


def _searched(cells: str, steps: int) -> nn.Module:
    """Make an SNASNet for CIFAR-10; the connections of a cell are the caller's to give, as a search found them."""
    import torch
    from spikingjelly.activation_based.model.snas_net import SNASNet

    settings = SimpleNamespace(dataset="cifar10", timestep=steps, second_avgpooling=2, celltype=cells, threshold=1.0, tau=4 / 3)
    # [from, to] of the four nodes of a cell: 0 nothing, 1 identity, 2 and 3 convolution of width 1 and 3, 4 pooling.
    edges = torch.tensor([[0, 3, 1, 2], [0, 0, 3, 4], [3, 0, 0, 3], [2, 2, 2, 0]])
    net: nn.Module = SNASNet(settings, edges)
    return net


def _differentiable_search() -> nn.Module:
    from spikingjelly.activation_based import functional
    from spikingjelly.activation_based.model.spike_dhs import SpikeDHS

    settings = SimpleNamespace(fea_num_layers=8, fea_filter_multiplier=48, fea_block_multiplier=3, fea_step=3)
    net: nn.Module = SpikeDHS(args=settings)
    functional.set_step_mode(net, "m")
    return net


_DEEP = ("18", "34", "50", "101", "152")
_WIDE = ("resnext50_32x4d", "resnext101_32x8d", "wide_resnet50_2", "wide_resnet101_2")
_VGGS = tuple(f"spiking_vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn"))
_OTTT = ("ottt_spiking_vggws", *(f"ottt_spiking_vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_ws")))
_TEN = {"num_classes": 10}


def _resnets(kind: str) -> tuple[str, ...]:
    return (*(f"{kind}_resnet{depth}" for depth in _DEEP), *(f"{kind}_{name}" for name in _WIDE))


def _spikingjelly() -> Iterator[tuple[str, ZooNetwork]]:
    yield from _both_modes("spiking_vgg", _VGGS, "LIFNode", RGB, CIFAR, _TEN)
    yield from _both_modes("spiking_resnet", _resnets("spiking"), "IFNode", RGB, CIFAR, _TEN)
    yield from _both_modes("sew_resnet", _resnets("sew"), "IFNode", RGB, CIFAR, _TEN, cnf="ADD")
    few, parametric = {"channels": 8}, ("parametric_lif_net", "ParametricLIFNode")
    for names, frame in (
        (("MNISTNet", "FashionMNISTNet"), MNIST),
        (("NMNISTNet",), NMNIST),
        (("CIFAR10Net",), CIFAR),
        (("CIFAR10DVSNet", "DVSGestureNet"), DVS),
    ):
        yield from _both_modes(parametric[0], names, parametric[1], frame, frame, few)
    for name in ("spikformer_ti", "spikformer_s"):
        yield _of_images(name, RGB, (3, 64, 64), {**_TEN, "img_size_h": 64, "img_size_w": 64}, averages=False)
    yield _of_images("spikformer_cifar10", CIFAR, CIFAR, {}, averages=False)
    yield _of_images("qkformer_10_384", RGB, (3, 64, 64), _TEN)
    yield _of_images("sdt_8_384", RGB, (3, 64, 64), _TEN)
    yield _of_images("maxformer_10_384", RGB, (3, 64, 64), _TEN)
    yield _of_images("maxformer_cifar", CIFAR, CIFAR, _TEN)
    yield _of_images("ms_resnet18", RGB, (3, 64, 64), _TEN)
    yield _of_images("ms_resnet34", RGB, (3, 64, 64), _TEN)
    yield _of_images("max_resnet18", CIFAR, CIFAR, {})
    yield _of_images("att_ms_resnet18", RGB, (3, 64, 64), _TEN)
    # Its attention over time divides T by 5.
    yield _of_images("masnn_dvs128_gesture", (2, 32, 32), (2, 32, 32), {}, steps=60, small_steps=5)
    for name in _OTTT:
        frame = CIFAR if name == "ottt_spiking_vggws" else RGB
        real = Sized(partial(_ottt, name), frame, T)
        yield name, ZooNetwork("spikingjelly", real, Sized(partial(_ottt_small, name), CIFAR, SMALL_T), "single-step")
    for cells in ("forward", "backward"):
        real, small = (Sized(partial(_searched, cells, steps), CIFAR, steps) for steps in (T, SMALL_T))
        yield f"SNASNet/{cells}", ZooNetwork("spikingjelly", real, small, "own loop", averages=True)
    whole = Sized(_differentiable_search, CIFAR, 6)
    yield "SpikeDHS", ZooNetwork("spikingjelly", whole, whole, "multi-step", averages=True)


# --------------------------------------------------------------------------- snnTorch


def _tutorial(name: str, size: str, steps: int) -> nn.Module:
    net: nn.Module = importlib.import_module("bench.lift.zoo.tutorials").make(name, size, steps)
    return net


def _snntorch() -> Iterator[tuple[str, ZooNetwork]]:
    frames: Mapping[str, Shape] = {"convolutional-events": NMNIST, "sconv2dlstm": NMNIST}
    looped = ("feed-forward/loop", "convolutional/loop")
    for name in (*looped, "feed-forward/s", "convolutional/s", "rleaky", "synaptic", "alpha", *frames):
        frame = frames.get(name, MNIST)
        real, small = (
            Sized(partial(_tutorial, name, "real", T), frame, T),
            Sized(partial(_tutorial, name, "small", SMALL_T), frame, SMALL_T),
        )
        time: Time = "own loop" if name in looped else "single-step"
        yield f"snntorch-{name}", ZooNetwork("snntorch", real, small, time, encoding=_encoding(frame))


ZOO: Mapping[str, ZooNetwork] = dict([*_spikingjelly(), *_snntorch()])
