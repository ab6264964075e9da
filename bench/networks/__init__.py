"""Networks as data. ``spec(name)`` gives one; ``bench.networks.build`` makes it a module for a backend.

| file | networks |
|---|---|
| vgg.py | VGG (sWS) of OTTT for images and events, its feedback and ANN forms, a small one for laptops; VGG-11 (BN) of SLTT |
| resnet.py | NF-ResNet-34 of OTTT, pre-activation ResNet-18 of SLTT |
| recurrent.py | R400 of OTTT |
| hybrid.py | VGG5, VGG11 and ResNet20, assumed for Skipper; a small VGG5 for laptops |
| lenet.py | LeNet and a custom network for events, assumed for Skipper |
| alexnet.py | AlexNet-type networks for events and images, assumed for TTL-BPTT; a small one for laptops |
"""

from __future__ import annotations

import importlib

from bench.spec import NetworkSpec, choose

# By name, not by import, so that a result depends on its own network's file alone (see bench.digest).
_MODULES = (
    "bench.networks.vgg",
    "bench.networks.resnet",
    "bench.networks.recurrent",
    "bench.networks.hybrid",
    "bench.networks.lenet",
    "bench.networks.alexnet",
)


def _all() -> dict[str, tuple[NetworkSpec, str]]:
    return {s.name: (s, module) for module in _MODULES for s in importlib.import_module(module).NETWORKS}


def names() -> list[str]:
    return sorted(_all())


def spec(name: str) -> NetworkSpec:
    """The network of this name; UserError with close matches if there is none."""
    known = _all()
    return known[choose("network", name, known)][0]


def module_name(name: str) -> str:
    known = _all()
    return known[choose("network", name, known)][1]
