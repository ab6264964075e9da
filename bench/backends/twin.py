"""The native network of a spec beside a framework's own of it: what enters each synapse, and the weights that both start from."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from bench.backends import native
from bench.networks.build import build
from bench.networks.modules import aligned
from bench.spec import NetworkSpec, choose

INITS = ("native", "framework")  # whose initial weights a shipped network starts from


def fan_in(spec: NetworkSpec) -> Iterator[int]:
    """Input channels or features of every synapse, in the order of the layers."""
    return iter([synapse.effective_weight().shape[1] for synapse in build(spec, native, "meta").synapses().values()])


def draw_weights(net: nn.Module, spec: NetworkSpec, seed: int, init: str) -> None:
    """Give ``net`` the initial weights that the native network of ``spec`` has for this seed, or its framework's own.

    UserError if ``init`` is not one of INITS.
    """
    if choose("initial weights", init, INITS) == "framework":
        _draw_own(net, seed)
        return
    twin = build(spec, native)
    twin.reset_parameters(seed)
    with torch.no_grad():
        for (_, mine), (_, drawn) in zip(aligned(net), aligned(twin), strict=True):
            mine.copy_(drawn)


def _draw_own(net: nn.Module, seed: int) -> None:
    """As its layers draw them when they are made, but by ``seed``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in net.modules():
            if module is not net and isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
                module.reset_parameters()
                gain = getattr(module, "gain", None)  # of standardised weights: one
                if isinstance(gain, nn.Parameter):
                    nn.init.ones_(gain)
