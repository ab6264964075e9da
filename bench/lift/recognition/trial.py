"""Small runs of a module, to see what it does: how often its neurons run in a call, what they see, and where an error occurs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from bench.counting.tape import tensors
from bench.errors import UserError
from bench.lift import frameworks
from bench.lift.frameworks import Framework, Mode
from bench.lift.recognition.parts import dtype_of, reset
from bench.lift.recognition.twin import TensorKind

# What PyTorch says when the value of a tensor without storage is asked for.
_READS_VALUES = ("item() cannot be called on meta", "Cannot copy out of meta tensor", "_local_scalar_dense", "nonzero")


@dataclass(frozen=True)
class Call:
    """One call of a module: its output, and for each layer of neurons how often it ran and the shape that it saw first."""

    output: object
    runs: Mapping[str, int]
    saw: Mapping[str, torch.Size]

    @property
    def least_runs(self) -> int:
        return min(self.runs.values(), default=0)


class Trials:
    """Calls of one module with few samples of ``T`` time steps; no batch has T samples, so that sizes tell dimensions."""

    def __init__(self, net: nn.Module, frame: tuple[int, ...], T: int, kind: TensorKind) -> None:
        self.net, self.T, self.kind = net, T, kind
        self.name = type(net).__name__
        self.batches = [batch for batch in (2, 3, 4) if batch != T][:2]
        self.adapters: Sequence[Framework] = frameworks.of(net)
        self.owner = {path: adapter for adapter in self.adapters for path in adapter.neurons(net)}
        self.neurons = {path: module for path, module in net.named_modules() if path in self.owner}
        self._frame = frame

    def mode(self, path: str) -> Mode:
        return self.owner[path].mode(self.neurons[path])

    def image(self, batch: int) -> Tensor:
        """Return one time step [B, ...]."""
        return self._zeros(batch)

    def sequence(self, batch: int) -> Tensor:
        """Return T time steps [T, B, ...]."""
        return self._zeros(self.T, batch)

    def _zeros(self, *lead: int) -> Tensor:
        with self.kind.open():
            return torch.zeros(*lead, *self._frame, dtype=dtype_of(self.net), device=self.kind.device)

    def run(self, *given: object) -> Call:
        """Call the module from its initial state, and leave it there."""
        with self.from_the_start():
            return self.call(*given)

    def tried(self, *given: object) -> Call | UserError:
        """As ``run``, but return the error."""
        log = logging.getLogger("torch._subclasses.fake_tensor")
        disabled, log.disabled = log.disabled, True  # it reports every shape that does not fit
        try:
            return self.run(*given)
        except UserError as error:
            return error
        finally:
            log.disabled = disabled

    @contextmanager
    def from_the_start(self) -> Iterator[None]:
        """In this context, calls go on from the initial state; afterwards the module is in it again."""
        reset(self.net, self.adapters)
        try:
            with self.kind.open():
                yield
        finally:
            reset(self.net, self.adapters)

    def call_for_two_steps(self, *given: object) -> int:
        """Call the module, and again if a call is one time step; return the number of calls.

        A recurrent layer reads spikes from the second step on; a layer that counts steps does not run for more than there are.
        """
        calls = 2 if not self.neurons or any(self.mode(path) == "single-step" for path in self.neurons) else 1
        for _ in range(calls):
            self.call(*given)
        return calls

    def call(self, *given: object) -> Call:
        """Call the module without a graph, inside ``from_the_start``."""
        runs = dict.fromkeys(self.neurons, 0)
        saw: dict[str, torch.Size] = {}

        def note(path: str, inputs: tuple[object, ...]) -> None:
            runs[path] += 1
            read = next(tensors(inputs), None)
            if read is not None:
                saw.setdefault(path, read.shape)

        with ExitStack() as hooks:
            for path, module in self.neurons.items():
                handle = module.register_forward_pre_hook(lambda _, inputs, path=path: note(path, inputs))
                hooks.callback(handle.remove)
            with torch.no_grad(), errors_located(self.net):
                output = self.net(*given)
        return Call(output, runs, saw)


@contextmanager
def errors_located(net: nn.Module) -> Iterator[None]:
    """In this context, an error inside a module becomes a UserError with the path of that module."""
    inside: list[str] = []
    name = type(net).__name__

    def leave(_: nn.Module, __: object, ___: object) -> None:
        if inside:
            inside.pop()

    with ExitStack() as hooks:
        for path, module in net.named_modules():
            enter = module.register_forward_pre_hook(lambda _, __, path=path: inside.append(path), prepend=True)
            hooks.callback(enter.remove)
            hooks.callback(module.register_forward_hook(leave).remove)
        try:
            yield
        except UserError:
            raise
        except Exception as error:
            where = inside[-1] if inside else ""
            raise UserError(_in_words(f"{name}.{where}" if where else name, error)) from error


def _in_words(where: str, error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    said = f"{type(error).__name__}: {lines[0][:300]}"
    by_value = (DataDependentOutputException, DynamicOutputShapeException)
    if isinstance(error, by_value) or any(mark in str(error) for mark in _READS_VALUES):
        return (
            f"{where} reads the value of a tensor ({said}), and tensors without storage have none: use torch.where in place of "
            "an if, or measure on real tensors (device = 'cpu')"
        )
    return f"{where}: {said}; check the shape of a frame, T, and what forward takes"
