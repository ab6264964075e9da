"""Gives a framework's shipped network the initial weights of the native network of the same spec."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from bench.backends import native
from bench.errors import choose
from bench.nets.build import build
from bench.nets.weights import copy_weights
from bench.spec import NetworkSpec

INITS = ("native", "framework")  # source of the initial weights of a shipped network


def fan_in(spec: NetworkSpec) -> Iterator[int]:
    """Yield the input channels or features of every synapse, in the order of the layers."""
    return iter([synapse.effective_weight().shape[1] for synapse in build(spec, native, "meta").synapses().values()])


def draw_weights(net: nn.Module, spec: NetworkSpec, seed: int, init: str) -> None:
    """Initialise ``net`` like the native network of ``spec`` with this seed ("native"), or as its "framework" does.

    Raises UserError if ``init`` is not one of INITS.
    """
    if choose("initial weights", init, INITS) == "framework":
        _draw_framework_weights(net, seed)
        return
    native_net = build(spec, native)
    native_net.reset_parameters(seed)
    copy_weights(native_net, net)


def _draw_framework_weights(net: nn.Module, seed: int) -> None:
    """Draw the framework's own initial weights, with ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in net.modules():
            if module is not net and isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
                module.reset_parameters()
                gain = getattr(module, "gain", None)  # of standardised weights: starts at one
                if isinstance(gain, nn.Parameter):
                    nn.init.ones_(gain)
