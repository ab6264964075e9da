"""What is asked of a user's module in several places."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.counting.tape import tensors
from bench.errors import UserError
from bench.lift.frameworks import Framework

OptionValues = Mapping[str, Any]  # options by name; Any, because they are passed on as keyword arguments
_INITIAL = ("initial_state", "init_state", "init_hidden")  # methods that make the first state of a batch
_STATES = ("state", "states", "hidden", "mem", "spk", "syn")  # names of arguments, also with a number behind them


def first(output: object) -> Tensor:
    """Return the first tensor of an output, e.g. the spikes of (spikes, membrane potentials)."""
    found = next(tensors(output), None)
    if found is None:
        kind = type(output).__name__
        raise UserError(f"forward returns {kind}: use a tensor, or a tuple whose first entry is the output of the network")
    return found


def dtype_of(net: nn.Module) -> torch.dtype:
    """Return the type of a module's weights, in which its input comes."""
    return next((parameter.dtype for parameter in net.parameters() if parameter.is_floating_point()), torch.float32)


def binary_neurons(net: nn.Module, adapters: Sequence[Framework]) -> list[nn.Module]:
    return [module for adapter in adapters for module in adapter.neurons(net).values() if adapter.binary(module)]


def dropouts(net: nn.Module) -> list[nn.Module]:
    """Return the layers whose output is binary, up to a constant factor, if their input is."""
    return [module for module in net.modules() if type(module).__name__ in ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d")]


def reset(net: nn.Module, adapters: Sequence[Framework]) -> None:
    for adapter in adapters:
        adapter.reset(net)


def initial_states(net: nn.Module, batch: int, arguments: int) -> tuple[object, ...]:
    """Return the states before the first time step: what the module's own method makes, else None for each."""
    for name in _INITIAL:
        method = getattr(net, name, None)
        if callable(method) and len(inspect.signature(method).parameters) == 1:
            made = method(batch)
            return (made,) if arguments == 1 else tuple(made)
    return (None,) * arguments


def state_arguments(net: nn.Module) -> int:
    """Return how many arguments forward takes beside the input, if they are required or are called like states."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        extra = [p for p in inspect.signature(net.forward).parameters.values() if p.kind in kinds][1:]
    except (TypeError, ValueError):  # forward is no Python function
        return 0
    required = sum(p.default is inspect.Parameter.empty for p in extra)
    return max(required, sum(p.name.rstrip("0123456789_").lower() in _STATES for p in extra))
