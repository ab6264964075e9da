"""A user's module as a function with explicit state, which is what the algorithms of this suite are written for.

Hidden states are written into the module before a window of time steps and taken out after it; between windows the module holds
its initial state. The module, its weights and its modes stay the user's. ``Lifted`` satisfies ``bench.contracts.Stepped`` but for
``spec``, since such a network is no data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import cached_property

import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.lift import frameworks
from bench.lift.frameworks import Framework, Slot
from bench.lift.parts import dtype_of, first, initial_states, reset
from bench.lift.recognise import Recognised
from bench.lift.twin import Meta, twin
from bench.nets.graph_size import difference_of_batches
from bench.nets.layers import State, state_tensors


class Spikes(nn.Module):
    """Passes on the spikes of one layer of neurons as [K, B, ...], for those who look at them with a hook."""

    def forward(self, spikes: Tensor) -> tuple[Tensor]:
        return (spikes,)


class Layer(nn.Module):
    """One layer of neurons of the user's module, as the layers of the catalogue's networks are seen by the algorithms."""

    def __init__(self) -> None:
        super().__init__()
        self.neurons = Spikes()


class Lifted(nn.Module):
    """``module`` with explicit state; ``frame``: the shape of one time step of one sample."""

    def __init__(self, module: nn.Module, frame: Sequence[int], recognised: Recognised) -> None:
        super().__init__()
        self.module = module
        self.frame = tuple(frame)
        self.recognised = recognised
        self._adapters: Sequence[Framework] = frameworks.of(module)
        self._slots: list[Slot] = [slot for adapter in self._adapters for slot in adapter.slots(module)]
        self._layers = [Layer() for _ in recognised.neurons]

    @cached_property
    def graph_and_state(self) -> tuple[int, int]:
        """Bytes that a time step of one sample saves for backward, and bytes of its state; of a copy without storage."""
        lifted = Lifted(twin(self.module, Meta()), self.frame, self.recognised)
        return difference_of_batches(lifted, self.frame, dtype_of(self.module))

    @property
    def graph_to_state(self) -> float:
        graph, state = self.graph_and_state
        return graph / max(state, 1)

    def initial_state(self, batch: int) -> State:
        if self.recognised.state_arguments:
            made = initial_states(self.module, batch, self.recognised.state_arguments)
            return [_listed(entry) for entry in made]
        return None

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        with ExitStack() as hooks:
            self._show_spikes(hooks)
            if self.recognised.time == "explicit state":
                return self._with_arguments(x, state)
            self._put(state)
            try:
                out = self._run(x)
                return out, [_encoded(slot.read(), slot) for slot in self._slots]
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
            slot.write(_decoded(entry, slot))

    def _show_spikes(self, hooks: ExitStack) -> None:
        """Pass spikes on to the hooks that somebody has registered on ``neurons()``."""
        modules = dict(self.module.named_modules())
        for layer, neuron in zip(self._layers, self.recognised.neurons, strict=True):
            if layer.neurons._forward_hooks:
                once = neuron.mode == "single-step"
                hook = modules[neuron.path].register_forward_hook(_shower(layer.neurons, once))
                hooks.callback(hook.remove)


def _shower(spikes: Spikes, once: bool) -> Callable[[nn.Module, object, object], None]:
    def show(_: nn.Module, __: object, out: object) -> None:
        seen = first(out)
        spikes(seen.unsqueeze(0) if once else seen)

    return show


def _encoded(value: object, slot: Slot) -> State:
    """Return the value of a slot as a state: a tensor, a list, or None for the initial value."""
    if isinstance(value, Tensor):
        return value if value.numel() else None
    if isinstance(value, list | tuple):
        return [_encoded(entry, slot) for entry in value]
    if value is None or value == slot.initial:
        return None
    if isinstance(value, int):
        return torch.tensor(value)
    raise UserError(f"{slot.key} keeps a {type(value).__name__} from one time step to the next: keep a tensor")


def _decoded(entry: State, slot: Slot) -> object:
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
