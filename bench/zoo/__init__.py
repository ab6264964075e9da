"""Networks as data. ``spec(name)`` returns one; ``bench.nets.build`` builds a module from it for a backend.

| file | networks |
|---|---|
| vgg.py | VGG (sWS) of OTTT for images and events, its feedback and ANN variants, a small one for laptops; VGG-11 (BN) of SLTT |
| resnet.py | pre-activation ResNet-18 of SLTT |
| nf_resnet.py | NF-ResNet-34 of OTTT, NF-ResNet-34, -50 and -101 of SLTT |
| leaks.py | small VGGs with batch norm that differ in the leak alone |
| recurrent.py | R400 of OTTT |
| vgg5.py | VGG5, VGG11 and ResNet20, assumed for Skipper; a small VGG5 for laptops |
| lenet.py | LeNet and a custom network for events, assumed for Skipper |
| alexnet.py | AlexNet-type networks for events and images, assumed for TTL-BPTT; a small one for laptops |
| r400_family.py | variants of OTTT's recurrent network, in what no source states |
| randman.py | dense networks of OTPE |
| beyond_lif.py | small networks of neurons beyond LIF (PLIF, synaptic, ALIF, refractory), of norms, and a block of Spikformer |
"""

from __future__ import annotations

import importlib

from bench.errors import choose
from bench.registry import NETWORK_FAMILIES
from bench.spec import NetworkSpec


def _all() -> dict[str, tuple[NetworkSpec, str]]:
    return {s.name: (s, module) for module in NETWORK_FAMILIES for s in importlib.import_module(module).NETWORKS}


def names() -> list[str]:
    return sorted(_all())


def spec(name: str) -> NetworkSpec:
    """Return the network of this name. Raises UserError, with close matches, if there is none."""
    known = _all()
    return known[choose("network", name, known)][0]


def module_name(name: str) -> str:
    known = _all()
    return known[choose("network", name, known)][1]
