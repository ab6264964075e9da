"""What each synapse of a module reads: the input, spikes, or neither; seen in two calls on tensors without storage.

input     made of the module's input, before any product with weights
spikes    the output of binary neurons, or a linear function of it: pooled, scaled, masked, reshaped or summed
analog    anything else
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch._ops import OpOverload

from bench.counting.macs import RULES
from bench.counting.operators import functional
from bench.counting.tape import tensors, watching
from bench.lift.recognition.parts import binary_neurons, dropouts
from bench.lift.recognition.trial import Trials

Origin = Literal["input", "spikes", "analog"]
SYNAPSES = (nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd)

# Operators whose output is a linear function of spikes if their tensors are spikes, and no weights. Maxima of spikes are spikes.
_LINEAR = re.compile(
    r"aten\.(_?adaptive_avg_pool\dd|avg_pool\dd|_?adaptive_max_pool\dd|max_pool\dd_with_indices|upsample_(nearest|bilinear)\dd|"
    r"mean|sum|add|sub|rsub|neg|mul|div|clone|_to_copy|copy|stack|cat|_unsafe_view|_reshape_copy|repeat|constant_pad_nd|index|"
    r"index_select|gather|where|roll|native_dropout|_fused_dropout|bernoulli)"
)
_MAKES = re.compile(r"aten\.(new_\w+|\w+_like)")  # they read shapes alone


@dataclass(frozen=True)
class Input:
    """What the synapse at ``path`` reads, and how often it runs in a call."""

    path: str
    origin: Origin
    runs: int


class Origins:
    """Observer that follows where tensors come from; a tensor is known by its storage, as in bench/counting."""

    def __init__(self, weights: Iterable[Tensor]) -> None:
        self._weights = {weight.untyped_storage()._cdata for weight in weights}
        self._of: dict[int, Origin] = {}
        self._alive: list[Tensor] = []  # so that no address is used twice

    def mark(self, values: Iterable[Tensor], origin: Origin) -> None:
        for tensor in values:
            self._of[tensor.untyped_storage()._cdata] = origin
            self._alive.append(tensor)

    def of(self, tensor: Tensor) -> Origin | None:
        return self._of.get(tensor.untyped_storage()._cdata)

    def on_operator(self, op: OpOverload, args: Sequence[object], reads: list[Tensor], outputs: list[Tensor]) -> None:
        name = functional(str(op.overloadpacket))
        found = {self.of(tensor) for tensor in reads} - {None}
        if not found or _MAKES.fullmatch(name):
            return
        origin: Origin = "analog"
        weighted = any(tensor.untyped_storage()._cdata in self._weights for tensor in reads)
        if found == {"input"} and name not in RULES:
            origin = "input"
        elif found == {"spikes"} and not weighted and _LINEAR.fullmatch(name):
            origin = "spikes"
        self.mark(outputs, origin)


def inputs_of_synapses(trials: Trials, given: tuple[object, ...]) -> tuple[Input, ...]:
    """Return what the synapses read in a call ``forward(*given)``, in the order in which they run."""
    net = trials.net
    origins = Origins(net.parameters())
    found: dict[str, set[Origin]] = {}
    runs: dict[str, int] = {}
    modules = dict(net.named_modules())
    binary = {id(module) for module in binary_neurons(net, trials.adapters)}
    known = {*map(id, trials.neurons.values()), *map(id, dropouts(net))}
    stateful = {id(slot.module): slot.module for adapter in trials.adapters for slot in adapter.slots(net)}

    def look(path: str, inputs: tuple[object, ...]) -> None:
        runs[path] = runs.get(path, 0) + 1
        read = next(tensors(inputs), None)
        origin = None if read is None else origins.of(read)
        found.setdefault(path, set()).update([] if origin is None else [origin])

    def emit(module: nn.Module, out: object) -> None:
        spikes, *others = tensors(out)
        origins.mark([spikes], "spikes" if id(module) in binary else "analog")
        origins.mark(others, "analog")

    with ExitStack() as stack:
        for path, module in modules.items():
            if isinstance(module, SYNAPSES):
                stack.callback(module.register_forward_pre_hook(lambda _, inputs, path=path: look(path, inputs)).remove)
        for module in trials.neurons.values():
            stack.callback(module.register_forward_hook(lambda module, _, out: emit(module, out)).remove)
        for module in stateful.values():
            if id(module) not in known and not any(isinstance(part, SYNAPSES) or id(part) in known for part in module.modules()):
                stack.callback(module.register_forward_hook(lambda _, __, out: origins.mark(tensors(out), "analog")).remove)
        stack.enter_context(trials.from_the_start())
        stack.enter_context(watching(origins))
        origins.mark(list(tensors(given))[:1], "input")
        calls = trials.call_for_two_steps(*given)
    return tuple(Input(path, _one(seen), runs[path] // calls) for path, seen in found.items())


def _one(seen: set[Origin]) -> Origin:
    """What a synapse reads, of what it read in its calls; without an origin: zeros, before the first spikes of a loop."""
    return seen.pop() if len(seen) == 1 else "analog"
