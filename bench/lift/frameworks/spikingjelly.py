"""SpikingJelly: neurons are ``MemoryModule``s that keep their state as named memories, in single-step or multi-step mode."""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager
from functools import partial
from typing import Any

from spikingjelly.activation_based import base, layer, neuron, surrogate
from torch import nn

from bench.lift.frameworks import Mode, Slot
from bench.lift.frameworks.lif import Lif
from bench.lift.frameworks.spikingjelly_ops import as_on_a_gpu
from bench.spec import Reset, Surrogate, SurrogateKind

__all__ = [
    "alone", "as_on_a_gpu", "binary", "emits_ones", "kept", "kernel", "leak", "lif", "mode", "name", "neurons", "over_time",
    "reset", "slots",
]  # fmt: skip

name = "SpikingJelly"

# Layers of neurons that are no BaseNode, by name, because not every version has each.
_NEURONS = (
    *("BaseNode", "SimpleBaseNode", "NonSpikingBaseNode", "NoisyBaseNode", "NoisyNonSpikingBaseNode", "ILCBaseNode", "PSN"),
    *("MaskedPSN", "SlidingPSN", "DSRIFNode", "DSRLIFNode", "GatedLIFNode", "ActivationAwareIFNode", "FlexSN", "STBIFNode"),
    "FewSpikeNode",
)
_WHOLE_SEQUENCE = (
    *("PSN", "MaskedPSN", "DSRIFNode", "DSRLIFNode", "ILCBaseNode", "NoisyBaseNode", "NoisyNonSpikingBaseNode"),
    *("NonSpikingBaseNode", "GatedLIFNode"),
)
# What is inside runs once for each time step, also in multi-step mode.
_STEP_BY_STEP = ("MultiStepContainer", "BatchNormThroughTime1d", "BatchNormThroughTime2d", "BatchNormThroughTime3d")
# They emit several levels, or a potential.
_SEVERAL_LEVELS = (
    *("NonSpikingBaseNode", "NoisyNonSpikingBaseNode", "LIAFNode", "ILIFNode", "TernaryIFNode", "TernaryLIFNode", "STBIFNode"),
    *("DSRIFNode", "DSRLIFNode", "FewSpikeNode", "FlexSN", "ActivationAwareIFNode"),
)


def _kinds(names: tuple[str, ...]) -> tuple[type[nn.Module], ...]:
    return tuple(kind for kind in (getattr(neuron, each, None) for each in names) if kind is not None)


def neurons(net: nn.Module) -> dict[str, nn.Module]:
    return {path: module for path, module in net.named_modules() if isinstance(module, _kinds(_NEURONS))}


def binary(module: nn.Module) -> bool:
    """Without surrogate spikes (``spiking = False``), neurons emit the surrogate's own smooth function."""
    spiking = getattr(getattr(module, "surrogate_function", None), "spiking", True)
    return bool(spiking) and not isinstance(module, _kinds(_SEVERAL_LEVELS))


emits_ones = binary


def leak(module: Any) -> float | str:
    for kind in (neuron.IFNode, neuron.LIFNode):
        if _runs_as(module, kind):
            return 1.0 if kind is neuron.IFNode else 1 - 1 / module.tau
    if isinstance(module, neuron.ParametricLIFNode):
        return "learns its decay"
    return f"is of kind {type(module).__name__}, and a constant decay is known of IFNode and LIFNode"


def lif(module: Any) -> Lif | str:
    decay = leak(module)
    if isinstance(decay, str):
        return decay
    if not binary(module):
        return f"is of kind {type(module).__name__}, which emits no spikes"
    if module.store_v_seq:
        return "stores its potentials (store_v_seq)"
    if module.v_reset not in (None, 0.0):
        return f"resets to {module.v_reset}"
    gain = 1 / module.tau if isinstance(module, neuron.LIFNode) and module.decay_input else 1.0
    reset_kind: Reset = "soft" if module.v_reset is None else "hard"
    return Lif(decay, gain, float(module.v_threshold), reset_kind, module.detach_reset, _smooth(module.surrogate_function))


_STEPS = (
    "forward",
    "single_step_forward",
    "multi_step_forward",
    "single_step_functional_forward",
    "multi_step_functional_forward",
)


def _runs_as(module: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether it is of this kind, or a subclass that computes the same."""
    return isinstance(module, kind) and all(getattr(type(module), name) is getattr(kind, name) for name in _STEPS)


def _smooth(function: surrogate.SurrogateFunctionBase) -> Surrogate | None:
    """Return the catalogue's surrogate of the same derivative."""
    kinds: dict[type, SurrogateKind] = {
        surrogate.Sigmoid: "sigmoid", surrogate.PiecewiseQuadratic: "triangle", surrogate.Rect: "rectangle",
        surrogate.ATan: "arctangent",
    }  # fmt: skip
    kind = kinds.get(type(function))
    return None if kind is None else Surrogate(kind, float(function.alpha))


def mode(module: nn.Module) -> Mode:
    if _reads_all(module):
        return "whole sequence"
    return "multi-step" if getattr(module, "step_mode", "m") == "m" else "single-step"


def _reads_all(module: nn.Module) -> bool:
    """Whether it starts anew in every call; the sliding neurons do in multi-step mode, and keep a queue in single-step mode."""
    sliding = isinstance(module, _kinds(("SlidingPSN",))) and getattr(module, "step_mode", "m") == "m"
    return sliding or isinstance(module, _kinds(_WHOLE_SEQUENCE))


def slots(net: nn.Module) -> list[Slot]:
    found = []
    for path, module in net.named_modules():
        if isinstance(module, base.MemoryModule):
            for key in module._memories:
                read, write = partial(getattr, module, key), partial(setattr, module, key)
                found.append(Slot(path, key, module, read, write, module.get_reset_value(key)))
    return found


kept = slots


def reset(net: nn.Module) -> None:
    for module in net.modules():
        if isinstance(module, base.MemoryModule):
            module.reset()


def over_time(net: nn.Module) -> dict[str, str]:
    stepwise = tuple(f"{path}." for path, module in net.named_modules() if isinstance(module, _of_layers(_STEP_BY_STEP)))
    found = {}
    for path, module in net.named_modules():
        if _reads_all(module):
            found[path] = "its neurons read the whole sequence"
        elif isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training and not path.startswith(stepwise):
            found[path] = "batch norm takes its statistics over all time steps of a call"
        elif type(module).__name__.startswith(("Temporal", "MultiDimensional")):
            found[path] = f"{type(module).__name__} mixes time steps"
    return found


def _of_layers(names: tuple[str, ...]) -> tuple[type[nn.Module], ...]:
    return tuple(kind for kind in (getattr(layer, each, None) for each in names) if kind is not None)


def kernel(namespaces: Set[str]) -> str:
    """Neurons of which the framework has no fused operator, or not with their surrogate, run as on a CPU."""
    fused = sorted(each.rpartition("sj_")[2] for each in namespaces if "sj_" in each)
    if not fused:
        return "SpikingJelly's neurons, operator by operator"
    return f"SpikingJelly's neurons as on a GPU, one operator per layer ({', '.join(fused)})"


@contextmanager
def alone(net: nn.Module) -> Iterator[None]:
    yield
