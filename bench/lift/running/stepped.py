"""A user's module as a function with explicit state, which is what the algorithms of this suite are written for.

Hidden states are written into the module before a window of time steps and taken out after it; between windows the module holds
its initial state. The module, its weights and its modes stay the user's. ``Lifted`` satisfies ``bench.contracts.Stepped``; its
``spec`` holds the few data that are known of such a network.

State: the hidden states (or the arguments of forward), then the trace of each synapse that has a port.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.lift import frameworks
from bench.lift.frameworks import Framework, Slot
from bench.lift.frameworks.lif import Lif
from bench.lift.recognition.parts import dtype_of, first, initial_states, reset
from bench.lift.recognition.recognise import Recognised
from bench.lift.recognition.twin import Meta, twin
from bench.lift.running.ports import Port, Through, passing_through
from bench.nets.graph_size import difference_of_batches
from bench.nets.layers import State, state_tensors
from bench.spec import NeuronSpec


class Spikes(nn.Module):
    """Passes on the spikes of one layer of neurons as [K, B, ...], for those who look at them with a hook."""

    def forward(self, spikes: Tensor) -> tuple[Tensor]:
        return (spikes,)


class Layer(nn.Module):
    """One layer of neurons of the user's module, as the layers of the catalogue's networks are seen by the algorithms.

    An algorithm may put other neurons (x [K, B, ...], v) -> (s [K, B, ...], v) in the place of ``neurons``: they run then, with
    the settings ``lif``.
    """

    def __init__(self, lif: Lif | None = None) -> None:
        super().__init__()
        self.neurons: nn.Module = Spikes()
        self.lif = lif

    @property
    def spec(self) -> NeuronSpec:
        if self.lif is None:
            raise UserError("the settings of these neurons are not known")
        return self.lif.spec()


@dataclass(frozen=True)
class Known:
    """What algorithms read of a network as data: the shape of a frame, the number of classes, and a neuron."""

    input: tuple[int, ...]
    classes: int
    neuron: NeuronSpec


class Lifted(nn.Module):
    """``module`` with explicit state; ``frame``: the shape of one time step of one sample.

    ``ports``: of the synapses that have traces, by path. ``spec``: what is known as data. ``lifs``: the settings of the layers of
    neurons, where they may be replaced.
    """

    def __init__(
        self,
        module: nn.Module,
        frame: Sequence[int],
        recognised: Recognised,
        ports: Mapping[str, Port] | None = None,
        spec: Known | None = None,
        lifs: Sequence[Lif | None] = (),
    ) -> None:
        super().__init__()
        self.module = module
        self.frame = tuple(frame)
        self.recognised = recognised
        self.spec = spec
        self._paths = tuple(ports or ())
        self._ports = tuple((ports or {}).values())  # as they are, also where ``synapses`` has traced ones in their place
        self.synapses = nn.ModuleList(self._ports)
        self._adapters: Sequence[Framework] = frameworks.of(module)
        self._slots: list[Slot] = [slot for adapter in self._adapters for slot in adapter.slots(module)]
        self._layers = [Layer(lif) for lif in lifs or [None] * len(recognised.neurons)]

    @cached_property
    def graph_and_state(self) -> tuple[int, int]:
        """Bytes that a time step of one sample saves for backward, and bytes of its state; of a copy without storage."""
        lifted = Lifted(twin(self.module, Meta()), self.frame, self.recognised)
        return difference_of_batches(lifted, self.frame, dtype_of(self.module))

    @property
    def graph_to_state(self) -> float:
        graph, state = self.graph_and_state
        return graph / max(state, 1)

    def modules(self, remove_duplicate: bool = True) -> Iterator[nn.Module]:
        """As of every module, without batch norm in evaluation: a second pass leaves it its running statistics, which it uses."""
        norm = nn.modules.batchnorm._BatchNorm
        return (part for part in super().modules(remove_duplicate) if not isinstance(part, norm) or part.training)

    def initial_state(self, batch: int) -> State:
        if self.recognised.state_arguments:
            made = initial_states(self.module, batch, self.recognised.state_arguments)
            return [*(_listed(entry) for entry in made), *[None] * len(self._ports)]
        return None

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        traces: list[State] = [None] * len(self._ports)
        if state is not None and traces:
            traces = state[-len(traces) :]
            del state[-len(traces) :]
        with ExitStack() as hooks:
            self._hook_neurons(hooks)
            if traces:
                through = Through(self._paths, self._ports, list(self.synapses), traces)
                hooks.enter_context(passing_through(self.module, through))
            if self.recognised.time == "explicit state":
                out, after = self._with_arguments(x, state)
                return out, [*after, *traces]
            self._put(state)
            try:
                out = self._run(x)
                return out, [*(encoded(slot.read(), slot) for slot in self._slots), *traces]
            finally:
                self._put(None)

    def step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One time step: x [B, ...] -> out [B, C]. The state passed in is consumed."""
        out, state = self(x.unsqueeze(0), state)
        return out.squeeze(0), state

    def window(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """K time steps: x [K, B, ...] -> out [K, B, C]. The state passed in is consumed."""
        out, state = self(x, state)
        return out, state

    def last_window(self, x: Tensor, state: State) -> Tensor:
        out: Tensor = self(x, state)[0]
        return out

    def outputs(self, x: Tensor) -> Tensor:
        """Run a sequence from the initial state: x [T, B, ...] -> [T, B, C]."""
        return self.last_window(x, self.initial_state(x.shape[1]))

    def neurons(self) -> list[Layer]:
        return self._layers

    def spiking(self) -> list[nn.Module]:
        """Return the modules whose first output is binary, up to a constant factor."""
        modules = dict(self.module.named_modules())
        return [modules[neuron.path] for neuron in self.recognised.neurons if neuron.binary]

    def carried(self, output: tuple[Tensor, State]) -> Iterator[Tensor]:
        return state_tensors(output[1])

    # ----------------------------------------------------------------------- inside

    def _run(self, x: Tensor) -> Tensor:
        if self.recognised.time == "single-step":
            return torch.stack([first(self.module(x_t)) for x_t in x])
        out = first(self.module(x.transpose(0, 1) if self.recognised.takes == "sequence, batch first" else x))
        if self.recognised.averages:
            return out.unsqueeze(0)
        return out.transpose(0, 1) if self.recognised.takes == "sequence, batch first" else out

    def _with_arguments(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        reset(self.module, self._adapters)  # snnTorch's neurons go on with what they keep if they are given None
        outs = []
        try:
            for x_t in x:
                out, *after = self.module(x_t, *state)
                state = [_listed(entry) for entry in after]
                outs.append(first(out))
            return torch.stack(outs), state
        finally:
            reset(self.module, self._adapters)

    def _put(self, state: State) -> None:
        """Write the state into the module, and let go of it; None is the initial state."""
        for i, slot in enumerate(self._slots):
            entry = None if state is None else state[i]
            if state is not None:
                state[i] = None
            slot.write(decoded(entry, slot))

    def _hook_neurons(self, hooks: ExitStack) -> None:
        """Pass spikes on to the hooks on ``neurons()``, and run the neurons that an algorithm has put there."""
        modules = dict(self.module.named_modules())
        for layer, neuron in zip(self._layers, self.recognised.neurons, strict=True):
            once = neuron.mode == "single-step"
            if not isinstance(layer.neurons, Spikes):
                (slot,) = (slot for slot in self._slots if slot.path == neuron.path)
                hooks.enter_context(_replaced(modules[neuron.path], layer, slot, once))
            elif layer.neurons._forward_hooks:
                hook = modules[neuron.path].register_forward_hook(_shower(layer.neurons, once))
                hooks.callback(hook.remove)


@contextmanager
def _replaced(module: nn.Module, layer: Layer, slot: Slot, once: bool) -> Iterator[None]:
    """In this context, calls of ``module`` run the layer's neurons on the potential in ``slot``."""
    own = vars(module).get("forward")
    gain = 1.0 if layer.lif is None else layer.lif.gain

    def forward(x: Tensor) -> Tensor:
        current = x if gain == 1 else x * gain
        spikes, potential = layer.neurons(current.unsqueeze(0) if once else current, slot.read())
        slot.write(potential)
        out: Tensor = spikes.squeeze(0) if once else spikes
        return out

    vars(module)["forward"] = forward
    try:
        yield
    finally:
        if own is None:
            del vars(module)["forward"]
        else:
            vars(module)["forward"] = own


def _shower(spikes: nn.Module, once: bool) -> Callable[[nn.Module, object, object], None]:
    def show(_: nn.Module, __: object, out: object) -> None:
        seen = first(out)
        spikes(seen.unsqueeze(0) if once else seen)

    return show


def encoded(value: object, slot: Slot) -> State:
    """Return the value of a slot as a state: a tensor, a list, or None for the initial value."""
    if isinstance(value, Tensor):
        return value if value.numel() else None
    if isinstance(value, list | tuple):
        return [encoded(entry, slot) for entry in value]
    if value is None or value == slot.initial:
        return None
    if isinstance(value, int):
        return torch.tensor(value)
    raise UserError(f"{slot.key} keeps a {type(value).__name__} from one time step to the next: keep a tensor")


def decoded(entry: State, slot: Slot) -> object:
    if entry is None:
        return list(slot.initial) if isinstance(slot.initial, list) else slot.initial
    return int(entry) if type(slot.initial) is int and isinstance(entry, Tensor) and not entry.is_floating_point() else entry


def _listed(state: object) -> State:
    """Return a state that is an argument of forward with lists in place of tuples."""
    if state is None or isinstance(state, Tensor):
        return state
    if isinstance(state, list | tuple):
        return [_listed(entry) for entry in state]
    raise UserError(f"forward returns a {type(state).__name__} as state: use a tensor, or tensors in lists or tuples")
