"""Spikes and energy of a user's network on real samples: what each layer reads, firing rates, and operations.

Everything is measured on a copy, on the CPU: inference in evaluation mode, and one training step by each algorithm asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from bench.algorithms.context import Watcher
from bench.counting.energy import CONVENTIONS, Convention
from bench.counting.macs import Role
from bench.counting.synaptic import Kind, Operations, Synaptic
from bench.counting.tape import tensors, watching
from bench.errors import UserError, choose
from bench.lift import frameworks
from bench.lift.frameworks import Framework
from bench.lift.recognition.forward import forward
from bench.lift.recognition.parts import OptionValues, binary_neurons, reset
from bench.lift.recognition.recognise import Recognised, recognise
from bench.lift.recognition.twin import Meta, Real, twin
from bench.lift.running.training import LIFTED, training_step
from bench.seeds import seed_of


@dataclass(frozen=True)
class Layer:
    """A layer with products: what it reads, and its operations in inference, on all samples and time steps."""

    path: str
    reads: Kind
    operations: Operations


@dataclass(frozen=True)
class Energy:
    """Operations of inference and of training steps on ``batch`` samples of ``T`` time steps.

    ``rates``: spikes per neuron and time step, by layer of neurons. ``training``: by algorithm and purpose, or why there is none.
    """

    T: int
    batch: int
    layers: tuple[Layer, ...]
    rates: Mapping[str, float]
    training: Mapping[str, Mapping[Role, Operations] | str]
    conventions: Mapping[str, Convention]

    @property
    def inference(self) -> Operations:
        return sum((layer.operations for layer in self.layers), Operations())

    def step(self, algorithm: str) -> Operations:
        """Return the operations of a training step. Raises UserError with the reason if there is none."""
        found = self.training[choose("algorithm", algorithm, self.training)]
        if isinstance(found, str):
            raise UserError(f"{algorithm}: {found}")
        return sum(found.values(), Operations())

    def joules(self, convention: str, algorithm: str | None = None) -> float:
        """Return the estimate for one sample: of inference, or of its share of a training step by an algorithm."""
        by = self.conventions[choose("convention", convention, self.conventions)]
        return by.joules(self.inference if algorithm is None else self.step(algorithm)) / self.batch

    def as_dict(self) -> dict[str, object]:
        """Everything, in types that JSON has."""
        able = [name for name, found in self.training.items() if not isinstance(found, str)]
        steps = {
            name: found if isinstance(found, str) else {role: vars(operations) for role, operations in found.items()}
            for name, found in self.training.items()
        }
        joules = {
            name: {"inference": self.joules(name), **{algorithm: self.joules(name, algorithm) for algorithm in able}}
            for name in self.conventions
        }
        return {
            "T": self.T,
            "batch": self.batch,
            "layers": [{"path": each.path, "reads": each.reads, **vars(each.operations)} for each in self.layers],
            "firing rates": dict(self.rates),
            "training": steps,
            "joules per sample": joules,
            "leaves out": {name: convention.leaves_out for name, convention in self.conventions.items()},
        }


def energy(
    module: nn.Module,
    data: tuple[Tensor, Tensor],
    algorithms: Sequence[str] = ("bptt",),
    *,
    options: Mapping[str, OptionValues] | None = None,
    conventions: Mapping[str, Convention] = CONVENTIONS,
) -> Energy:
    """Count what ``module`` does on real samples; the module is left as it is.

    ``data``: x [T, B, ...] and labels [B]; a static image is ``image.expand(T, *image.shape)``. ``algorithms``: those whose
    training step is counted too, with their ``options`` by name. ``conventions``: by name, pJ a MAC and an AC. Raises UserError
    for what cannot be run, with the module's path and the remedy.
    """
    x, target = _checked(module, data)
    for name in (*algorithms, *(options or {})):
        choose("algorithm", name, LIFTED)
    recognised = recognise(twin(module, Meta()), tuple(x.shape[2:]), x.shape[0], Meta(), "frames")
    with _copy(module) as it:
        layers, rates = it.inference(x, recognised)
    training: dict[str, Mapping[Role, Operations] | str] = {}
    for name in algorithms:
        try:
            with _copy(module) as it:
                training[name] = it.step(name, (options or {}).get(name, {}), x, target)
        except UserError as error:
            training[name] = str(error)
    return Energy(x.shape[0], x.shape[1], layers, rates, training, dict(conventions))


@dataclass
class _Copy:
    """A copy with values that can be run, and the path of the part that runs."""

    net: nn.Module
    adapters: Sequence[Framework]
    inside: list[str] = field(default_factory=list)

    def inference(self, x: Tensor, recognised: Recognised) -> tuple[tuple[Layer, ...], dict[str, float]]:
        self.net.eval()
        spikes: dict[str, list[float]] = {}

        def note(path: str, out: object) -> None:
            emitted = next(tensors(out))
            spikes.setdefault(path, []).append(float((emitted != 0).double().mean()))

        binary = {id(module) for module in binary_neurons(self.net, self.adapters)}
        with ExitStack() as hooks, torch.no_grad():
            for path, module in self.net.named_modules():
                if id(module) in binary:
                    handle = module.register_forward_hook(lambda _, __, out, path=path: note(path, out))
                    hooks.callback(handle.remove)
            counted = self._counted(x, lambda _: forward(self.net, x, x.shape[0], False, recognised))
        layers = tuple(Layer(path, kind, operations) for path, (kind, operations) in counted.by_layer().items())
        return layers, {path: sum(shares) / len(shares) for path, shares in spikes.items()}

    def step(self, algorithm: str, options: OptionValues, x: Tensor, target: Tensor) -> Mapping[Role, Operations]:
        if not self.net.training:  # parts that are not in training beside others that are, stay so
            self.net.train()
        step = training_step(self.net, algorithm, **options)
        step.lifted(x)  # now, so that it is not counted
        torch.manual_seed(seed_of("energy", "masks"))
        return self._counted(x, lambda watcher: step(x, target, watcher)).by_role()

    def _counted(self, x: Tensor, run: Callable[[Watcher], object]) -> Synaptic:
        counted = Synaptic(self.net.parameters(), [x], lambda: self.inside[-1] if self.inside else "")
        with ExitStack() as hooks:
            for path, module in self.net.named_modules():
                enter = module.register_forward_pre_hook(lambda _, __, path=path: self.inside.append(path))
                hooks.callback(enter.remove)
                hooks.callback(module.register_forward_hook(lambda _, __, ___: self._leave()).remove)
            for adapter in self.adapters:
                for module in adapter.neurons(self.net).values():
                    hooks.callback(module.register_forward_hook(lambda _, __, out: counted.emitted([*tensors(out)][:1])).remove)
            with watching(counted):
                run(counted)
        return counted

    def _leave(self) -> None:
        if self.inside:
            self.inside.pop()


@contextmanager
def _copy(module: nn.Module) -> Iterator[_Copy]:
    net = twin(module, Real())
    adapters = frameworks.of(net)
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.enable_grad())
        for adapter in adapters:
            stack.enter_context(adapter.alone(net))
            stack.enter_context(adapter.as_on_a_gpu())  # operators that are known
        net.zero_grad(set_to_none=True)
        reset(net, adapters)
        yield _Copy(net, adapters)


def _checked(module: object, data: object) -> tuple[Tensor, Tensor]:
    if not isinstance(module, nn.Module):
        raise UserError(f"{module!r} is no module: give a torch.nn.Module")
    if not isinstance(data, tuple | list) or len(data) != 2 or not all(isinstance(each, Tensor) for each in data):
        raise UserError("data: give one batch (x, labels) of tensors, x [T, B, ...] and labels [B]")
    x, target = data
    if x.dim() < 3 or target.dim() < 1 or x.shape[1] != target.shape[0]:
        raise UserError(f"data: x has shape {list(x.shape)} and labels {list(target.shape)}; use x [T, B, ...] and labels [B]")
    return x.detach().cpu(), target.detach().cpu()
