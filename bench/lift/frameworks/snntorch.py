"""snnTorch: neurons keep their state in buffers (``init_hidden=True``), or take it as arguments and return it."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import snntorch
import torch
from torch import nn

from bench.lift.frameworks import Mode, Slot
from bench.lift.frameworks.lif import Lif

name = "snnTorch"

_HIDDEN = ("spk", "syn", "syn_exc", "syn_inh", "mem")
_WHOLE_SEQUENCE = ("LeakyParallel", "StateLeaky", "LinearLeaky", "AssociativeLeaky")


def _kinds(names: tuple[str, ...]) -> tuple[type[nn.Module], ...]:
    return tuple(kind for kind in (getattr(snntorch, each, None) for each in names) if kind is not None)


def neurons(net: nn.Module) -> dict[str, nn.Module]:
    kinds = (snntorch.SpikingNeuron, *_kinds(_WHOLE_SEQUENCE))
    return {path: module for path, module in net.named_modules() if isinstance(module, kinds)}


def binary(module: nn.Module) -> bool:
    """Spikes times ``graded_spikes_factor``, which is a constant unless there is one for each neuron."""
    factor = getattr(module, "graded_spikes_factor", None)
    return not isinstance(factor, torch.Tensor) or factor.numel() == 1


def emits_ones(module: nn.Module) -> bool:
    factor = getattr(module, "graded_spikes_factor", None)
    constant = isinstance(factor, torch.Tensor) and not isinstance(factor, nn.Parameter) and factor.numel() == 1
    return factor is None or (constant and not factor.is_meta and factor.item() == 1)


def leak(module: Any) -> float | str:
    if type(module) not in (snntorch.Leaky, snntorch.RLeaky):
        return f"is of kind {type(module).__name__}, and a constant decay is known of Leaky and RLeaky"
    beta = module.beta
    if isinstance(beta, nn.Parameter):
        return "learns its decay (learn_beta)"
    if beta.numel() != 1:
        return "has a decay for each neuron"
    if beta.is_meta:
        return "has its decay in a tensor with dimensions, in place of a number"
    return min(max(float(beta), 0.0), 1.0)


def lif(module: Any) -> Lif | str:
    """snnTorch's neurons reset before the next charge and outside of its leak, as no equation of the suite has it."""
    decay = leak(module)
    if isinstance(decay, str):
        return decay
    return "is of snnTorch, whose reset acts one time step later (reset_delay), or on what an earlier reset has left"


def mode(module: nn.Module) -> Mode:
    return "whole sequence" if isinstance(module, _kinds(_WHOLE_SEQUENCE)) else "single-step"


def slots(net: nn.Module) -> list[Slot]:
    """Return the states of neurons with ``init_hidden``; those of others are arguments."""
    return [slot for slot in kept(net) if getattr(slot.module, "init_hidden", False)]


def kept(net: nn.Module) -> list[Slot]:
    """Return what neurons keep, also those that are given their state: they go on with it if they are given None."""
    return [
        Slot(path, key, module, partial(getattr, module, key), partial(_write, module, key), None)
        for path, module in neurons(net).items()
        for key in _HIDDEN
        if isinstance(module._buffers.get(key), torch.Tensor)
    ]


def _write(module: nn.Module, key: str, value: object) -> None:
    """Set a hidden state; None is the initial one, a tensor of no elements, which the neuron replaces by zeros."""
    former = module._buffers[key]
    assert former is not None
    setattr(module, key, former.new_empty(0) if value is None else value)


def reset(net: nn.Module) -> None:
    for slot in kept(net):
        slot.write(None)


def over_time(net: nn.Module) -> dict[str, str]:
    parallel = _kinds(_WHOLE_SEQUENCE)
    return {path: "its neurons read the whole sequence" for path, module in net.named_modules() if isinstance(module, parallel)}


def kernel(namespaces: Set[str]) -> str:
    return "snnTorch's neurons, operator by operator"


def as_on_a_gpu() -> AbstractContextManager[None]:
    return nullcontext()  # the same operators on every device


@contextmanager
def alone(net: nn.Module) -> Iterator[None]:
    """``snntorch.utils.reset`` and ``detach_hidden`` reach every neuron in this list, of whatever network."""
    every = snntorch.SpikingNeuron.instances
    snntorch.SpikingNeuron.instances = [each for each in net.modules() if isinstance(each, snntorch.SpikingNeuron)]
    try:
        yield
    finally:
        snntorch.SpikingNeuron.instances = every
