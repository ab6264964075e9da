"""What is counted: a copy of a user's module and its optimizer, on one kind of tensors, with a batch, ready to be trained."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from bench import optimizers
from bench.algorithms.context import Watcher
from bench.counting.any_step import Carried, Cost, count, make_optimizer_state
from bench.counting.tape import tensors
from bench.errors import UserError
from bench.lift import frameworks
from bench.lift.frameworks import Framework, Slot
from bench.lift.recognition.parts import binary_neurons, dropouts, dtype_of
from bench.lift.recognition.recognise import Recognised, recognise
from bench.lift.recognition.timing import Encoding
from bench.lift.recognition.trial import errors_located
from bench.lift.recognition.twin import TensorKind, twin
from bench.lift.running.update import Update

Optimizer = str | torch.optim.Optimizer | Callable[[object], torch.optim.Optimizer] | None


@dataclass(frozen=True)
class Subject:
    """``x`` is as from a data loader: an image [B, ...], or frames [T, B, ...]; ``target``: class indices for the output."""

    net: nn.Module
    optimizer: torch.optim.Optimizer | None
    adapters: Sequence[Framework]
    recognised: Recognised
    x: Tensor
    target: Tensor
    kind: TensorKind
    encoding: Encoding

    def sized(self, T: int, batch: int) -> Subject:
        """Return the same copies with a batch of another size."""
        frame = self.x.shape[2:] if self.encoding == "frames" else self.x.shape[1:]
        x, target = _batch(self.net, self.kind, self.encoding, T, batch, frame, self.target.shape[1:])
        return replace(self, x=x, target=target)

    def sequence(self, T: int) -> Tensor:
        """Return the input as a sequence [T, B, ...]; an image is repeated without a copy."""
        return self.x.expand(T, *self.x.shape) if self.encoding == "repeat" else self.x

    def count(
        self,
        run: Callable[[Watcher | None], object],
        carried: Sequence[tuple[nn.Module, Carried]] = (),
        spiking: Sequence[nn.Module] = (),
        update: Update | None = None,
        settled: bool = False,
    ) -> Cost:
        """Count ``run(watcher)``, a training step, after it has run once.

        ``carried`` and ``spiking`` beside the states and the spikes of neurons; ``update``: that of the step, if it has
        classifiers beside the module; ``settled``: a step leaves nothing that the next finds, so that it need not run before.
        """
        classifiers = None if update is None else update.classifiers
        trained = self.net if classifiers is None else nn.ModuleList([self.net, classifiers])
        with self.kind.open(), errors_located(self.net):
            for optimizer in (self.optimizer, None if update is None else update.beside):
                if optimizer is not None and not optimizer.state:
                    make_optimizer_state(optimizer)
            if not settled:
                run(None)
            trained.zero_grad(set_to_none=True)
            return count(
                run,
                trained,
                self.optimizer if update is None else update.together(),
                [self.x, self.target],
                carried=[*self._states(), *carried],
                spiking=[*binary_neurons(self.net, self.adapters), *spiking],
                passes_spikes=dropouts(self.net),
                state=self.state,
            )

    def _states(self) -> list[tuple[nn.Module, Carried]]:
        """Return the modules with hidden state, and functions that return its tensors after they have run."""
        by_module: dict[nn.Module, list[Slot]] = {}
        for adapter in self.adapters:
            for slot in adapter.kept(self.net):
                by_module.setdefault(slot.module, []).append(slot)

        def tensors_of(slots: Sequence[Slot]) -> Carried:
            return lambda _: [tensor for slot in slots for tensor in frameworks.state_tensors(slot.read())]

        explicit = self.recognised.time == "explicit state"
        returned: list[tuple[nn.Module, Carried]] = [(self.net, lambda out: tensors(out[1:]))] if explicit else []
        return [*((module, tensors_of(slots)) for module, slots in by_module.items()), *returned]

    def state(self) -> list[Tensor]:
        """Return the tensors that modules hold between steps beside parameters and buffers that are no state."""
        slots = [slot for adapter in self.adapters for slot in adapter.kept(self.net)]
        hidden = [tensor for slot in slots for tensor in frameworks.state_tensors(slot.read())]
        own = {id(parameter) for parameter in self.net.parameters()}
        plain = [value for module in self.net.modules() for value in vars(module).values() if isinstance(value, Tensor)]
        return [*hidden, *(tensor for tensor in plain if id(tensor) not in own)]


@contextmanager
def subject(
    module: nn.Module, optimizer: Optimizer, kind: TensorKind, frame: Sequence[int], T: int, batch: int, encoding: Encoding
) -> Iterator[Subject]:
    """In this context, a copy of the module can be run in ``kind`` without an effect on the module or on random numbers."""
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.enable_grad())
        net, by = _copies(module, optimizer, kind)
        adapters = frameworks.of(net)
        for adapter in adapters:
            stack.enter_context(adapter.alone(net))
            if kind.device != "meta":
                stack.enter_context(adapter.as_on_a_gpu())
        if not net.training:  # parts that are not in training beside others that are, stay so
            net.train()
        recognised = recognise(net, frame, T, kind, encoding)
        positions = recognised.output[(1 if recognised.averages else 2) + 1 :]  # behind batch (and time) and classes
        x, target = _batch(net, kind, encoding, T, batch, frame, positions)
        yield Subject(net, by, adapters, recognised, x, target, kind, encoding)


def _batch(
    net: nn.Module, kind: TensorKind, encoding: Encoding, T: int, batch: int, frame: Sequence[int], positions: Sequence[int]
) -> tuple[Tensor, Tensor]:
    steps = (T,) if encoding == "frames" else ()
    with kind.open():
        x = torch.zeros(*steps, batch, *frame, dtype=dtype_of(net), device=kind.device)
        return x, torch.zeros(batch, *positions, dtype=torch.long, device=kind.device)


def _copies(module: nn.Module, optimizer: Optimizer, kind: TensorKind) -> tuple[nn.Module, torch.optim.Optimizer | None]:
    if isinstance(optimizer, torch.optim.Optimizer):
        own = {id(parameter) for parameter in module.parameters()}
        if not any(id(parameter) in own for group in optimizer.param_groups for parameter in group["params"]):
            raise UserError("optimizer holds none of the module's parameters: make it of module.parameters()")
        return twin((module, optimizer), kind)
    net = twin(module, kind)
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    if optimizer is None or not trained:
        return net, None
    with kind.open():
        return net, optimizers.kind(optimizer)().of(trained) if isinstance(optimizer, str) else optimizer(trained)
