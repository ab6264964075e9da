"""What the parts of a module read and keep, seen in two calls on tensors without storage."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from bench.counting.macs import Macs
from bench.counting.tape import tensors, watching
from bench.lift.recognition.parts import binary_neurons, dropouts, reset
from bench.lift.recognition.trial import Trials

_SYNAPSES = (nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd)


@dataclass(frozen=True)
class Synapse:
    """A layer with weights, and whether it reads spikes."""

    path: str
    kind: str
    reads_spikes: bool


def connections(trials: Trials, given: tuple[object, ...]) -> tuple[tuple[Synapse, ...], tuple[str, ...]]:
    """Return the synapses, with what they read, and the blocks: parts of which each reads the output of the one before.

    There are no blocks if the parts are no such chain.
    """
    macs = Macs(trials.net.parameters())
    reads: dict[str, bool] = {}
    ends: dict[str, tuple[int, int]] = {}
    alive: list[Tensor] = []  # so that no address is used twice

    def look(path: str, inputs: tuple[object, ...]) -> None:
        read = next(tensors(inputs), None)
        reads[path] = reads.get(path, False) or (read is not None and macs.is_spikes(read))

    def join(path: str, inputs: tuple[object, ...], out: object) -> None:
        read, written = next(tensors(inputs), None), next(tensors(out), None)
        if read is not None and written is not None:
            alive.extend((read, written))
            ends.setdefault(path, (read.untyped_storage()._cdata, written.untyped_storage()._cdata))

    modules = dict(trials.net.named_modules())
    with ExitStack() as stack:
        for path, module in modules.items():
            if isinstance(module, _SYNAPSES):
                stack.callback(module.register_forward_pre_hook(lambda _, inputs, path=path: look(path, inputs)).remove)
        for path, module in _children(trials.net).items():
            stack.callback(module.register_forward_hook(lambda _, inputs, out, path=path: join(path, inputs, out)).remove)
        for module in binary_neurons(trials.net, trials.adapters):
            stack.callback(module.register_forward_hook(lambda _, __, out: macs.mark_spikes(list(tensors(out))[:1])).remove)
        for module in dropouts(trials.net):
            stack.callback(module.register_forward_hook(lambda _, inputs, out: _pass_on(macs, inputs, out)).remove)
        stack.enter_context(trials.from_the_start())
        stack.enter_context(watching(macs))
        trials.call_for_two_steps(*given)
    joined = list(ends.values())
    chain = len(joined) > 1 and all(former[1] == later[0] for former, later in pairwise(joined))
    synapses = tuple(Synapse(path, type(modules[path]).__name__, spikes) for path, spikes in reads.items())
    return synapses, tuple(ends) if chain else ()


def other_state(trials: Trials, given: tuple[object, ...]) -> tuple[str, ...]:
    """Return the tensors in modules that a second call changes, except known states and running statistics."""
    known = {(id(slot.module), slot.name) for adapter in trials.adapters for slot in adapter.slots(trials.net)}
    own = {id(module) for module in trials.neurons.values()}
    with trials.from_the_start():
        trials.call(*given)
        before = _held(trials.net)
        reset(trials.net, trials.adapters)  # known states: layers may count the time steps that there are
        trials.call(*given)
        after = _held(trials.net)
    paths = {id(module): f"{path}." if path else "" for path, module in trials.net.named_modules()}
    return tuple(
        f"{paths[module]}{name}"
        for (module, name), value in after.items()
        if before.get((module, name)) != value and (module, name) not in known and module not in own
    )


def _children(net: nn.Module) -> dict[str, nn.Module]:
    """Return the children of a module; a Sequential among them is replaced by its own children."""
    found: dict[str, nn.Module] = {}
    for name, child in net.named_children():
        if type(child) is nn.Sequential:
            found |= {f"{name}.{inner}": part for inner, part in _children(child).items()}
        else:
            found[name] = child
    return found


def _held(net: nn.Module) -> dict[tuple[int, str], tuple[int, int]]:
    """Return identity and version of every tensor that a module holds beside parameters and running statistics."""
    found = {}
    for module in net.modules():
        buffers = {} if isinstance(module, nn.modules.batchnorm._NormBase) else module._buffers
        values: Iterable[tuple[str, object]] = (*vars(module).items(), *buffers.items())
        for name, value in values:
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
                found[id(module), name] = (id(value), value._version)
    return found


def _pass_on(macs: Macs, inputs: tuple[object, ...], out: object) -> None:
    read = next(tensors(inputs), None)
    if read is not None and macs.is_spikes(read):
        macs.mark_spikes(list(tensors(out))[:1])
