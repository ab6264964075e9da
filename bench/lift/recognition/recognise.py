"""What a user's module is: how it treats time, its neurons and states, and its synapses that read spikes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from bench.errors import UserError
from bench.lift.frameworks import Mode
from bench.lift.recognition.connections import Synapse, connections, other_state
from bench.lift.recognition.parts import state_arguments
from bench.lift.recognition.timing import Encoding, Takes, Time, given, timing_of
from bench.lift.recognition.trial import Trials
from bench.lift.recognition.twin import TensorKind


@dataclass(frozen=True)
class Neuron:
    """A layer of neurons: path, class, framework, names of its states, whether it emits two values only, and its mode."""

    path: str
    kind: str
    framework: str
    states: tuple[str, ...]
    binary: bool
    mode: Mode


@dataclass(frozen=True)
class Recognised:
    """What was recognised of a module.

    ``takes``: what a call of forward takes; ``own_steps``: by how many time steps it repeats an image itself; ``averages``:
    whether its output has lost the dimension of time; ``state_arguments``: how many states forward takes; ``other_state``: what
    modules keep between calls that no framework is known to keep; ``over_time``: modules that mix the time steps of a call, and
    why; ``blocks``: parts of the module of which each reads the output of the one before, if it is such a chain; ``output``: the
    shape of the output in a trial, with time first if it has time.
    """

    module: str
    frameworks: tuple[str, ...]
    time: Time
    takes: Takes
    own_steps: int | None
    averages: bool
    state_arguments: int
    neurons: tuple[Neuron, ...]
    states: tuple[str, ...]
    other_state: tuple[str, ...]
    over_time: Mapping[str, str]
    synapses: tuple[Synapse, ...]
    blocks: tuple[str, ...]
    output: tuple[int, ...]

    def as_dict(self) -> dict[str, object]:
        """Everything, in types that JSON has."""
        neurons = [vars(neuron) | {"states": list(neuron.states)} for neuron in self.neurons]
        own = {"neurons": neurons, "synapses": [vars(synapse) for synapse in self.synapses], "over_time": dict(self.over_time)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()} | own


def recognise(net: nn.Module, frame: Sequence[int], T: int, kind: TensorKind, encoding: Encoding = "repeat") -> Recognised:
    """Recognise a copy ``net``, whose tensors are of this ``kind``; ``frame``: the shape of one time step of one sample.

    Raises UserError, with the module's path and the remedy, for what cannot be run or understood.
    """
    trials = Trials(net, tuple(frame), T, kind)
    arguments = state_arguments(net)
    if not trials.neurons and not arguments:
        known = ", ".join(adapter.name for adapter in trials.adapters) or "SpikingJelly and snnTorch"
        raise UserError(
            f"{trials.name} has no neurons of {known}, and its forward takes no state: build it of their neurons, or let "
            "forward(x, state) return (output, state)"
        )
    timing = timing_of(trials, encoding, arguments)
    if timing.own_steps not in (None, T) and timing.takes == "frame":
        own = timing.own_steps
        raise UserError(
            f"T = {T}, but {trials.name} repeats its input for {own} time steps itself: use T = {own}, build the network for {T} "
            "steps, or give it a sequence (encoding = 'frames')"
        )
    once = timing.time in ("single-step", "explicit state")
    shape = tuple(timing.output.shape)
    example = given(trials, timing.takes, arguments)
    synapses, blocks = connections(trials, example)
    return Recognised(
        module=trials.name,
        frameworks=tuple(adapter.name for adapter in trials.adapters),
        time=timing.time,
        takes=timing.takes,
        own_steps=timing.own_steps,
        averages=not once and shape[:2] != (T, trials.batches[0]),
        state_arguments=arguments,
        neurons=tuple(_neuron(trials, path) for path in trials.neurons),
        states=tuple(slot.key for adapter in trials.adapters for slot in adapter.slots(net)),
        other_state=other_state(trials, example),
        over_time={} if once else {path: why for adapter in trials.adapters for path, why in adapter.over_time(net).items()},
        synapses=synapses,
        blocks=blocks,
        output=(T, *shape) if once else shape,
    )


def _neuron(trials: Trials, path: str) -> Neuron:
    adapter, module = trials.owner[path], trials.neurons[path]
    states = tuple(slot.name for slot in adapter.slots(trials.net) if slot.path == path)
    return Neuron(path, type(module).__name__, adapter.name, states, adapter.binary(module), adapter.mode(module))
