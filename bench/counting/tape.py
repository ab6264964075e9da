"""Reports every operator of a computation to observers, on any device including 'meta'.

Observers do not change what runs. The cost probes use the storages that each operator reads and writes, and the tensors that
autograd saves for backward.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

from bench.counting.shapes import Shapes


class Observer(Protocol):
    def on_operator(self, op: OpOverload, args: Sequence[object], reads: list[Tensor], outputs: list[Tensor]) -> None:
        """``reads`` are the tensors among ``args``."""


def tensors(values: object) -> Iterator[Tensor]:
    """Yield the tensors in an operator's arguments or results, also in nested lists and tuples."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from tensors(value)


class Tape(TorchDispatchMode):
    """While active, reports each operator that runs below autograd to the observers, except views."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        super().__init__()
        self.observers = observers
        self.call = Shapes()

    def __torch_dispatch__(self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func.namespace == "prim":  # asks a fake tensor for its device, and computes nothing
            return func(*args, **kwargs)
        if _is_composite(func):  # composite: without autograd they arrive here undecomposed
            with self:
                return func.decompose(*args, **kwargs)
        if func.is_view:  # views cost nothing, and observers identify tensors by storage
            return func(*args, **kwargs)
        result = self.call(func, args, kwargs)
        reads, outputs = list(tensors(args)), list(tensors(result))
        for observer in self.observers:
            observer.on_operator(func, args, reads, outputs)
        return result


@cache
def _is_composite(op: OpOverload) -> bool:
    """Whether an operator is a composition of others on every device."""
    implicit: bool = torch._C._dispatch_has_kernel_for_dispatch_key(op.name(), "CompositeImplicitAutograd")
    return implicit


@contextmanager
def watching(*observers: Observer) -> Iterator[None]:
    """Run the body under a tape; observers with ``on_saved`` also receive each tensor that autograd saves for backward."""

    def keep(tensor: Tensor) -> Tensor:
        for observer in observers:
            on_saved = getattr(observer, "on_saved", None)
            if on_saved is not None:
                on_saved(tensor)
        return tensor.detach()  # otherwise a custom function and an output it saves form a reference cycle

    with ExitStack() as stack:
        stack.enter_context(torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor))
        stack.enter_context(Tape(observers))
        yield
