"""Copies weights between networks of the same layers, also if one of them is a framework's own."""

from __future__ import annotations

import torch
from torch import nn

from bench.errors import UserError

# Kinds of parameters by their names; a learnt decay is ``beta`` in snnTorch, ``w`` in SpikingJelly and here.
KINDS = {"weight": "weight", "gain": "gain", "bias": "bias", "w": "decay", "beta": "decay"}


def aligned(net: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return (kind, parameter), with the kinds of KINDS, in an order that is the same for every implementation."""
    found = ((kind, getattr(module, name, None)) for module in net.modules() for name, kind in KINDS.items())
    return [(kind, parameter) for kind, parameter in found if isinstance(parameter, nn.Parameter)]


def copy_weights(source: nn.Module, target: nn.Module) -> None:
    """Copy parameters and running averages of ``source`` into ``target``: networks of one NetworkSpec, on any two backends.

    Their names (``state_dict``) differ between frameworks, so they are matched by their order, kind and shape. Values are
    converted to the target's type and device. Auxiliary classifiers of local training are left as they are. Raises UserError,
    before anything is copied, if the networks do not match.
    """
    for role, net in (("source", source), ("target", target)):
        if not isinstance(net, nn.Module) or not hasattr(net, "spec"):
            raise UserError(f"{role} is of type {type(net).__name__}; use the network of a training step: step.net")
        if any(parameter.is_meta for parameter in net.parameters()):
            raise UserError(f"{role} is on device 'meta' and has no weights; build it on 'cpu' or 'cuda'")
    source_values, target_values = _values(source), _values(target)
    shapes = [[(kind, tuple(value.shape)) for kind, value in values] for values in (source_values, target_values)]
    if shapes[0] != shapes[1]:
        first = next((pair for pair in zip(*shapes, strict=False) if pair[0] != pair[1]), None)
        differ = (
            f"{len(source_values)} and {len(target_values)} tensors"
            if first is None
            else f"first {_described(first[0])} and {_described(first[1])}"
        )
        raise UserError(f"the networks differ in their weights ({differ}); use networks of the same NetworkSpec")
    with torch.no_grad():
        for (_, value), (_, target_value) in zip(source_values, target_values, strict=True):
            target_value.copy_(value)


def _described(kind_and_shape: tuple[str, tuple[int, ...]]) -> str:
    kind, shape = kind_and_shape
    return f"{kind} {list(shape)}"


def _values(net: nn.Module) -> list[tuple[str, torch.Tensor]]:
    """Return (kind, tensor) of all parameters and running averages but those of auxiliary classifiers, in order."""
    auxiliary = {id(parameter) for parameter in getattr(net, "classifiers", nn.ModuleList()).parameters()}
    parameters = [(kind, parameter) for kind, parameter in aligned(net) if id(parameter) not in auxiliary]
    norms = [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    averages = [(name, value) for norm in norms for name, value in norm.named_buffers(recurse=False)]
    return [*parameters, *averages]
