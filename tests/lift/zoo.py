"""SpikingJelly's model zoo: networks that nobody here wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Model:
    """How to build a network, the frame that it is made for, a small one that it takes too, and its time steps."""

    make: Callable[[], nn.Module]
    frame: tuple[int, ...]
    small: tuple[int, ...]
    T: int = 4
    own_steps: bool = False  # it repeats an image itself


def _of_layers(where: str, name: str, step_mode: str, spiking: str, **options: Any) -> nn.Module:
    """A network of the zoo that is built of a neuron's class and has both step modes."""
    import importlib

    from spikingjelly.activation_based import functional, neuron, surrogate

    module = importlib.import_module(f"spikingjelly.activation_based.model.{where}")
    smooth = surrogate.ATan()
    net: nn.Module = getattr(module, name)(
        spiking_neuron=getattr(neuron, spiking), surrogate_function=smooth, detach_reset=True, **options
    )
    functional.set_step_mode(net, step_mode)
    return net


def _of_builder(name: str, **options: Any) -> nn.Module:
    from spikingjelly.activation_based import model

    net: nn.Module = getattr(model, name)(**options)
    return net


def _both(where: str, names: Iterable[str], spiking: str, frame: Shape, small: Shape, **options: Any) -> dict[str, Model]:
    return {
        f"{name}, {mode}": Model(partial(_of_layers, where, name, mode, spiking, **options), frame, small)
        for name in names
        for mode in ("s", "m")
    }


def _image(name: str, frame: tuple[int, ...], small: tuple[int, ...], T: int = 4, **options: Any) -> dict[str, Model]:
    return {name: Model(partial(_of_builder, name, T=T, **options), frame, small, T, own_steps=True)}


RGB, CIFAR, DVS, MNIST = (3, 224, 224), (3, 32, 32), (2, 128, 128), (1, 28, 28)
VGGS = [f"spiking_vgg{depth}{norm}" for depth in (11, 13, 16, 19) for norm in ("", "_bn")]
RESNETS, SEWS = ([f"{kind}_resnet{depth}" for depth in (18, 34, 50)] for kind in ("spiking", "sew"))
ZOO: dict[str, Model] = {
    **_both("spiking_vgg", VGGS, "LIFNode", RGB, CIFAR),
    **_both("spiking_resnet", RESNETS, "IFNode", RGB, CIFAR),
    **_both("sew_resnet", SEWS, "IFNode", RGB, CIFAR, cnf="ADD"),
    **_both("parametric_lif_net", ["MNISTNet"], "ParametricLIFNode", MNIST, MNIST, channels=16),
    **_both("parametric_lif_net", ["FashionMNISTNet"], "ParametricLIFNode", MNIST, MNIST),
    **_both("parametric_lif_net", ["NMNISTNet"], "ParametricLIFNode", (2, 34, 34), (2, 34, 34)),
    **_both("parametric_lif_net", ["CIFAR10Net"], "ParametricLIFNode", CIFAR, CIFAR),
    **_both("parametric_lif_net", ["CIFAR10DVSNet", "DVSGestureNet"], "ParametricLIFNode", DVS, DVS),
    **_image("spikformer_ti", RGB, RGB),
    **_image("spikformer_s", RGB, RGB),
    **_image("spikformer_cifar10", CIFAR, CIFAR),
    **_image("qkformer_10_384", RGB, (3, 64, 64)),
    **_image("sdt_8_384", RGB, (3, 64, 64)),
    **_image("maxformer_10_384", RGB, (3, 64, 64)),
    **_image("maxformer_cifar", CIFAR, CIFAR),
    **_image("masnn_dvs128_gesture", (2, 32, 32), (2, 32, 32), T=60),
    **_image("att_ms_resnet18", RGB, (3, 64, 64), T=1),
    **_image("ms_resnet18", RGB, (3, 64, 64), T=6),
    **_image("ms_resnet34", RGB, (3, 64, 64), T=6),
    **_image("max_resnet18", CIFAR, CIFAR),
}
FEW = ("MNISTNet, s", "MNISTNet, m", "maxformer_cifar", "spiking_vgg11, m", "sew_resnet18, s")
# Small enough to run on real tensors in an ordinary test.
SMALL = ("MNISTNet, s", "MNISTNet, m", "maxformer_cifar")


def build(name: str, *, empty: bool = False) -> nn.Module:
    """Return a network of the zoo; ``empty``: without weights, on device 'meta'."""
    pytest.importorskip("spikingjelly")
    pytest.importorskip("torchvision")
    torch.manual_seed(0)
    with torch.device("meta" if empty else "cpu"):
        return ZOO[name].make()
