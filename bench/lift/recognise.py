"""How a module treats time, and what its parts are: found by a few small calls of a copy without storage.

    time             a call of forward takes           neurons run in a call
    single-step      one frame [B, ...]                once: state stays in the neurons (SpikingJelly, snnTorch init_hidden)
    multi-step       a sequence [T, B, ...]            once, over all steps (SpikingJelly's step_mode "m", parallel neurons)
    explicit state   one frame, and the state          once: state is an argument and is returned
    own loop         a sequence, or an image           T times: forward loops over time itself

A network that repeats an image by a number of steps of its own is multi-step or has its own loop, and ``own_steps`` says so.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.counting.macs import Macs
from bench.counting.tape import tensors, watching
from bench.errors import UserError
from bench.lift import frameworks
from bench.lift.frameworks import Framework, Mode
from bench.lift.trial import Call, call, first
from bench.lift.twin import World

Time = Literal["single-step", "multi-step", "explicit state", "own loop"]
Encoding = Literal["repeat", "frames"]
Takes = Literal["frame", "sequence", "sequence, batch first"]
_SYNAPSES = (nn.Linear, nn.Bilinear, nn.modules.conv._ConvNd)
_INITIAL = ("initial_state", "init_state", "init_hidden")  # methods that make the first state of a batch


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
class Synapse:
    """A layer with weights, and whether it reads spikes."""

    path: str
    kind: str
    reads_spikes: bool


@dataclass(frozen=True)
class Recognised:
    """What was recognised of a module.

    ``takes``: what a call of forward takes; ``own_steps``: by how many time steps it repeats an image itself; ``averages``:
    whether its output has lost the dimension of time; ``state_arguments``: how many states forward takes; ``other_state``: what
    modules keep between calls that no framework is known to keep; ``over_time``: modules that mix the time steps of a call, and
    why; ``blocks``: parts of the module of which each reads the output of the one before, if it is such a chain.
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
    output: tuple[int, ...]  # shape of the output for T time steps and 2 samples or a few more

    def as_dict(self) -> dict[str, Any]:
        neurons = [vars(neuron) | {"states": list(neuron.states)} for neuron in self.neurons]
        own = {"neurons": neurons, "synapses": [vars(synapse) for synapse in self.synapses], "over_time": dict(self.over_time)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in vars(self).items()} | own


def recognise(net: nn.Module, frame: Sequence[int], T: int, world: World, encoding: Encoding = "repeat") -> Recognised:
    """Recognise a copy ``net`` that lives in ``world``; ``frame``: the shape of one time step of one sample.

    Raises UserError, with the module's path and the remedy, for what cannot be run or understood.
    """
    return _Trials(net, tuple(frame), T, world, encoding).recognised()


class _Trials:
    """Calls of one module with few samples, and what they show."""

    def __init__(self, net: nn.Module, frame: tuple[int, ...], T: int, world: World, encoding: Encoding) -> None:
        self.net, self.frame_shape, self.T, self.world, self.encoding = net, frame, T, world, encoding
        self.adapters: Sequence[Framework] = frameworks.of(net)
        self.of = {path: adapter for adapter in self.adapters for path in adapter.neurons(net)}
        order = [path for path, _ in net.named_modules() if path in self.of]
        modules = dict(net.named_modules())
        self.neurons: dict[str, nn.Module] = {path: modules[path] for path in order}
        self.batches = [batch for batch in (2, 3, 4) if batch != T][:2]
        self.name = type(net).__name__

    def recognised(self) -> Recognised:
        arguments = _state_arguments(self.net)
        if not self.neurons and not arguments:
            known = ", ".join(adapter.name for adapter in self.adapters) or "SpikingJelly and snnTorch"
            raise UserError(
                f"{self.name} has no neurons of {known}, and its forward takes no state: build it of their neurons, or let "
                "forward(x, state) return (output, state)"
            )
        if arguments:
            time, takes, own_steps, out = self._explicit(arguments)
        elif any(self._mode(path) != "single-step" for path in self.neurons):
            time, takes, own_steps, out = self._multi_step()
        else:
            time, takes, own_steps, out = self._single_step()
        if own_steps is not None and own_steps != self.T and takes == "frame":
            raise UserError(
                f"T = {self.T}, but {self.name} repeats its input for {own_steps} time steps itself: use T = {own_steps}, build "
                f"the network for {self.T} steps, or give it a sequence (encoding = 'frames')"
            )
        once = time in ("single-step", "explicit state")
        lead = out.shape[:1] if once else out.shape[:2]
        batch = self.batches[0]
        return Recognised(
            module=self.name,
            frameworks=tuple(adapter.name for adapter in self.adapters),
            time=time,
            takes=takes,
            own_steps=own_steps,
            averages=not once and tuple(lead) != (self.T, batch),
            state_arguments=arguments,
            neurons=tuple(self._neuron(path) for path in self.neurons),
            states=tuple(slot.key for adapter in self.adapters for slot in adapter.slots(self.net)),
            other_state=self._other_state(takes, arguments),
            over_time={path: why for adapter in self.adapters for path, why in adapter.over_time(self.net).items()},
            **self._connections(takes, arguments),
            output=tuple(out.shape if not once else (self.T, *out.shape)),
        )

    # ----------------------------------------------------------------------- calls

    def frame(self, batch: int) -> Tensor:
        with self.world.open():
            return torch.zeros(batch, *self.frame_shape, dtype=dtype_of(self.net), device=self.world.device)

    def sequence(self, batch: int) -> Tensor:
        with self.world.open():
            return torch.zeros(self.T, batch, *self.frame_shape, dtype=dtype_of(self.net), device=self.world.device)

    def given(self, takes: Takes, arguments: int = 0) -> tuple[Any, ...]:
        batch = self.batches[0]
        if arguments:
            return self.frame(batch), *initial_states(self.net, batch, arguments)
        if takes == "frame":
            return (self.frame(batch),)
        return (self.sequence(batch) if takes == "sequence" else self.sequence(batch).transpose(0, 1),)

    def run(self, *given: Any) -> Call:
        reset(self.net, self.adapters)
        try:
            with self.world.open():
                return call(self.net, self.neurons, *given)
        finally:
            reset(self.net, self.adapters)

    def tried(self, *given: Any) -> Call | UserError:
        log = logging.getLogger("torch._subclasses.fake_tensor")
        disabled, log.disabled = log.disabled, True  # it reports every shape that does not fit
        try:
            return self.run(*given)
        except UserError as error:
            return error
        finally:
            log.disabled = disabled

    def _mode(self, path: str) -> Mode:
        return self.of[path].mode(self.neurons[path])

    # ----------------------------------------------------------------------- time

    def _explicit(self, arguments: int) -> tuple[Time, Takes, int | None, Tensor]:
        one = self.run(*self.given("frame", arguments))
        found = one.output
        if not isinstance(found, tuple | list) or len(found) != arguments + 1:
            raise UserError(
                f"{self.name}.forward takes {arguments} state{'s' if arguments > 1 else ''} beside the input and must return "
                f"the output and as many states, but returns {_shown(found)}: return (output, state)"
            )
        return "explicit state", "frame", None, first(found)

    def _multi_step(self) -> tuple[Time, Takes, int | None, Tensor]:
        image = [self.tried(self.frame(batch)) for batch in self.batches]
        own = self._repeats(image)
        if own is not None and self.encoding == "repeat":
            one = image[0]
            assert isinstance(one, Call)
            return "multi-step", "frame", own, first(one.output)
        one = self.run(self.sequence(self.batches[0]))
        time: Time = "multi-step" if one.least_runs == 1 else "own loop"
        return time, "sequence", own, first(one.output)

    def _repeats(self, image: Sequence[Call | UserError]) -> int | None:
        """Return by how many steps a multi-step network repeats an image: its neurons see [steps, batch, ...]."""
        seen = []
        for one in image:
            if isinstance(one, UserError) or not one.saw:
                return None
            seen.append(next(iter(one.saw.values())))
        steps = {shape[0] for shape in seen}
        follows = all(len(shape) > 1 and shape[1] == batch for shape, batch in zip(seen, self.batches, strict=True))
        return steps.pop() if len(steps) == 1 and follows else None

    def _single_step(self) -> tuple[Time, Takes, int | None, Tensor]:
        image = [self.tried(self.frame(batch)) for batch in self.batches]
        one, other = image
        if isinstance(one, Call) and isinstance(other, Call):
            runs = one.least_runs, other.least_runs
            if runs == (1, 1):
                return "single-step", "frame", None, first(one.output)
            if runs[0] == runs[1] > 1:
                if self.encoding == "frames":
                    raise UserError(
                        f"{self.name}.forward loops over {runs[0]} time steps of one image, so it takes no frames: use encoding "
                        "= 'repeat'"
                    )
                return "own loop", "frame", runs[0], first(one.output)
        sequence, batch = self.sequence(self.batches[0]), self.batches[0]
        looped = self.tried(sequence)
        if isinstance(looped, Call) and looped.least_runs == self.T:
            return "own loop", "sequence", None, first(looped.output)
        turned = self.tried(sequence.transpose(0, 1))
        if isinstance(turned, Call) and turned.least_runs == self.T:
            out = first(turned.output)
            if out.shape[:2] == (batch, self.T):
                out = out.transpose(0, 1)
            return "own loop", "sequence, batch first", None, out
        wrong = next((each for each in (*image, looped) if isinstance(each, UserError)), None)
        if wrong is not None:
            raise wrong
        raise UserError(
            f"{self.name}.forward runs its neurons neither once nor {self.T} times for {self.T} time steps: call it once for "
            "each time step, or let it loop over the first dimension of x [T, B, ...]"
        )

    # ----------------------------------------------------------------------- parts

    def _neuron(self, path: str) -> Neuron:
        adapter, module = self.of[path], self.neurons[path]
        states = tuple(slot.name for slot in adapter.slots(self.net) if slot.path == path)
        return Neuron(path, type(module).__name__, adapter.name, states, adapter.binary(module), adapter.mode(module))

    def _other_state(self, takes: Takes, arguments: int) -> tuple[str, ...]:
        """Return what a second call of forward changes in modules, except known states and running statistics."""
        known = {(id(slot.module), slot.name) for adapter in self.adapters for slot in adapter.slots(self.net)}
        with ExitStack() as stack:
            stack.enter_context(self.world.open())
            call(self.net, self.neurons, *self.given(takes, arguments))
            before = _held(self.net)
            call(self.net, self.neurons, *self.given(takes, arguments))
            after = _held(self.net)
        reset(self.net, self.adapters)
        own = {id(module) for module in self.neurons.values()}
        changed = [key for key in after if before.get(key) != after[key]]
        paths = {id(module): path for path, module in self.net.named_modules()}
        return tuple(
            f"{paths[module]}.{name}" if paths[module] else name
            for module, name in changed
            if (module, name) not in known and module not in own
        )

    def _connections(self, takes: Takes, arguments: int) -> dict[str, Any]:
        """Return the synapses, with what they read, and the chain of blocks."""
        macs = Macs(self.net.parameters())
        reads: dict[str, bool] = {}
        children = _parts(self.net)
        ends: dict[str, tuple[int, int]] = {}
        alive: list[Tensor] = []  # so that no address is used twice

        def look(path: str, given: tuple[Any, ...]) -> None:
            read = next(tensors(given), None)
            reads[path] = reads.get(path, False) or (read is not None and macs.is_spikes(read))

        def join(path: str, given: tuple[Any, ...], out: Any) -> None:
            read, written = next(tensors(given), None), next(tensors(out), None)
            if read is not None and written is not None:
                alive.extend((read, written))
                ends.setdefault(path, (read.untyped_storage()._cdata, written.untyped_storage()._cdata))

        with ExitStack() as stack:
            for path, module in self.net.named_modules():
                if isinstance(module, _SYNAPSES):
                    hook = module.register_forward_pre_hook(lambda _, given, path=path: look(path, given))
                    stack.callback(hook.remove)
            for path, module in children.items():
                end = module.register_forward_hook(lambda _, given, out, path=path: join(path, given, out))
                stack.callback(end.remove)
            for module in binary_neurons(self.net, self.adapters):
                mark = module.register_forward_hook(lambda _, __, out: macs.mark_spikes(list(tensors(out))[:1]))
                stack.callback(mark.remove)
            for module in dropouts(self.net):
                mark = module.register_forward_hook(lambda _, given, out: _pass_on(macs, given, out))
                stack.callback(mark.remove)
            stack.enter_context(self.world.open())
            stack.enter_context(watching(macs))
            for _ in range(2):  # a recurrent layer reads spikes from the second time step on
                call(self.net, self.neurons, *self.given(takes, arguments))
        reset(self.net, self.adapters)
        modules = dict(self.net.named_modules())
        synapses = tuple(Synapse(path, type(modules[path]).__name__, spikes) for path, spikes in reads.items())
        joined = list(ends.items())
        chain = all(joined[i][1][1] == joined[i + 1][1][0] for i in range(len(joined) - 1))
        return {"synapses": synapses, "blocks": tuple(ends) if chain and len(ends) > 1 else ()}


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


def initial_states(net: nn.Module, batch: int, arguments: int) -> tuple[Any, ...]:
    """Return the states before the first time step: what the module's own method makes, else None for each."""
    for name in _INITIAL:
        method = getattr(net, name, None)
        if callable(method) and len(inspect.signature(method).parameters) == 1:
            made = method(batch)
            return (made,) if arguments == 1 else tuple(made)
    return (None,) * arguments


def _state_arguments(net: nn.Module) -> int:
    """Return how many arguments forward takes beside the input, if they are states."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = [p for p in inspect.signature(net.forward).parameters.values() if p.kind in kinds]
    except (TypeError, ValueError):
        return 0
    extra = parameters[1:]
    required = [p for p in extra if p.default is inspect.Parameter.empty]
    named = [p for p in extra if p.name.rstrip("0123456789_").lower() in ("state", "states", "hidden", "mem", "spk", "syn")]
    return len(required) if len(required) >= len(named) else len(named)


def _parts(net: nn.Module) -> dict[str, nn.Module]:
    """Return the children of a module; a Sequential among them is replaced by its own children."""
    found: dict[str, nn.Module] = {}
    for name, child in net.named_children():
        if type(child) is nn.Sequential:
            found |= {f"{name}.{inner}": part for inner, part in _parts(child).items()}
        else:
            found[name] = child
    return found


def _held(net: nn.Module) -> dict[tuple[int, str], tuple[int, int]]:
    """Return identity and version of every tensor that a module holds beside parameters and running statistics."""
    found = {}
    for module in net.modules():
        buffers = {} if isinstance(module, nn.modules.batchnorm._NormBase) else module._buffers
        for name, value in (*vars(module).items(), *buffers.items()):
            if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
                found[id(module), name] = (id(value), value._version)
    return found


def _pass_on(macs: Macs, given: tuple[Any, ...], out: Any) -> None:
    read = next(tensors(given), None)
    if read is not None and macs.is_spikes(read):
        macs.mark_spikes(list(tensors(out))[:1])


def _shown(value: Any) -> str:
    if isinstance(value, tuple | list):
        return f"{len(value)} values"
    return f"a {type(value).__name__}"
