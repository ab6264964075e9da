"""Small runs of a module, to see what it does: how often its neurons run in a call, what they see, and where an error occurs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from bench.counting.tape import tensors
from bench.errors import UserError

# What PyTorch says when the value of a tensor without storage is asked for.
_READS_VALUES = ("item() cannot be called on meta", "Cannot copy out of meta tensor", "_local_scalar_dense", "nonzero")


@dataclass(frozen=True)
class Call:
    """One call of a module: its output, and for each layer of neurons how often it ran and the shape that it saw first."""

    output: Any
    runs: Mapping[str, int]
    saw: Mapping[str, torch.Size]

    @property
    def least_runs(self) -> int:
        return min(self.runs.values(), default=0)


def call(net: nn.Module, neurons: Mapping[str, nn.Module], *given: Any) -> Call:
    """Call a module without a graph. Raises UserError that names the module in which an error occurred."""
    runs = dict.fromkeys(neurons, 0)
    saw: dict[str, torch.Size] = {}

    def note(path: str, inputs: tuple[Any, ...]) -> None:
        runs[path] += 1
        first = next(tensors(inputs), None)
        if first is not None:
            saw.setdefault(path, first.shape)

    with ExitStack() as hooks:
        for path, module in neurons.items():
            handle = module.register_forward_pre_hook(lambda _, inputs, path=path: note(path, inputs))
            hooks.callback(handle.remove)
        with torch.no_grad(), errors_located(net):
            output = net(*given)
    return Call(output, runs, saw)


@contextmanager
def errors_located(net: nn.Module) -> Iterator[None]:
    """In this context, an error inside a module becomes a UserError with the path of that module."""
    inside: list[str] = []
    name = type(net).__name__

    def leave(_: nn.Module, __: Any, ___: Any) -> None:
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
            raise UserError(_told(f"{name}.{where}" if where else name, error)) from error


def _told(where: str, error: Exception) -> str:
    words = str(error).strip().splitlines() or [""]
    said = words[0][:300]
    by_value = (DataDependentOutputException, DynamicOutputShapeException)
    if isinstance(error, by_value) or any(mark in str(error) for mark in _READS_VALUES):
        return (
            f"{where} reads the value of a tensor ({type(error).__name__}: {said}), and tensors without storage have none: use "
            "torch.where in place of an if, or measure on real tensors (device = 'cpu')"
        )
    return f"{where}: {type(error).__name__}: {said}; check the shape of a frame, T, and what forward takes"


def first(output: Any) -> Tensor:
    """Return the first tensor of an output, e.g. the spikes of (spikes, membrane potentials)."""
    found = next(tensors(output), None)
    if found is None:
        kind = type(output).__name__
        raise UserError(f"forward returns {kind}: use a tensor, or a tuple whose first entry is the output of the network")
    return found
