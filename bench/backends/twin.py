"""The native network of a spec beside a framework's own of it: what enters each synapse, and the weights that both start from."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn

from bench.backends import native
from bench.networks.build import build
from bench.spec import NetworkSpec


def fan_in(spec: NetworkSpec) -> Iterator[int]:
    """Input channels or features of every synapse, in the order of the layers."""
    return iter([synapse.effective_weight().shape[1] for synapse in build(spec, native, "meta").synapses().values()])


def draw_weights(net: nn.Module, spec: NetworkSpec, seed: int) -> None:
    """Give ``net`` the initial weights that the native network of ``spec`` has for this seed."""
    twin = build(spec, native)
    twin.reset_parameters(seed)
    with torch.no_grad():
        for mine, drawn in zip(_in_order(net), _in_order(twin), strict=True):
            mine.copy_(drawn)


def _in_order(net: nn.Module) -> list[nn.Parameter]:
    found = (getattr(module, name, None) for module in net.modules() for name in ("weight", "gain", "bias"))
    return [parameter for parameter in found if isinstance(parameter, nn.Parameter)]
