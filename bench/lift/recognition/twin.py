"""A copy of a module without storage: the same code and shapes, while the module itself is neither run nor changed.

A ``TensorKind`` is the kind of tensors that a copy has. ``Meta``: tensors on device 'meta', which is fast. ``Fake``: fake tensors
that report the CPU as their device, for what device 'meta' cannot do: automatic mixed precision. ``Real``: tensors with storage
on the CPU, for modules that look at values.

Buffers that are a single number keep their value, because constructors and forward methods read it (snnTorch's neurons do).
"""

from __future__ import annotations

import copy
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.overrides import TorchFunctionMode

from bench.errors import UserError

T = TypeVar("T")


class TensorKind(Protocol):
    """The kind of tensors that a copy has, and how to make them."""

    @property
    def device(self) -> str: ...

    def open(self) -> AbstractContextManager[object]:
        """In this context, computations run on such tensors."""

    def like(self, tensor: Tensor) -> Tensor:
        """Return a tensor of the same shape, strides and type."""

    def number(self, value: Tensor) -> Tensor:
        """Return a tensor of no dimensions that keeps its value."""


@dataclass(frozen=True)
class Meta:
    device: str = "meta"

    def open(self) -> AbstractContextManager[object]:
        return nullcontext()

    def like(self, tensor: Tensor) -> Tensor:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")

    def number(self, value: Tensor) -> Tensor:
        return value  # a tensor without dimensions may be mixed with any device


@dataclass(frozen=True)
class Fake:
    device: str = "cpu"
    # snnTorch's reset touches the neurons of every network of the process, real ones among them.
    mode: FakeTensorMode = field(default_factory=partial(FakeTensorMode, allow_non_fake_inputs=True))

    def open(self) -> AbstractContextManager[object]:
        return self.mode

    def like(self, tensor: Tensor) -> Tensor:
        with self.mode:
            return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="cpu")

    def number(self, value: Tensor) -> Tensor:
        plain = value.item()
        with self.mode:
            return torch.tensor(plain, dtype=value.dtype)


@dataclass(frozen=True)
class Real:
    device: str = "cpu"

    def open(self) -> AbstractContextManager[object]:
        return nullcontext()

    def like(self, tensor: Tensor) -> Tensor:
        if isinstance(tensor, FakeTensor) or tensor.is_meta:
            raise UserError("the module has no values (it was built without storage): build it on the CPU to run it there")
        return tensor.detach().cpu().clone()

    def number(self, value: Tensor) -> Tensor:
        return value


def twin(value: T, kind: TensorKind) -> T:
    """Return a deep copy without storage of a module, an optimizer, or a tuple of both (the copies belong together).

    Raises UserError if something in it cannot be copied.
    """
    try:
        with _InPlaceOfCopies(kind):
            return copy.deepcopy(value)
    except UserError:
        raise
    except Exception as error:  # whatever a user's own __deepcopy__ or attribute raises
        raise UserError(
            f"{_named(value)} cannot be copied ({type(error).__name__}: {error}): a copy without storage is measured, so that "
            "the module itself is left as it is; keep open files, locks and generators out of the module's attributes"
        ) from error


class _InPlaceOfCopies(TorchFunctionMode):
    """While active, ``copy.deepcopy`` of a tensor or a parameter gives one without storage, outside of any graph."""

    def __init__(self, kind: TensorKind) -> None:
        super().__init__()
        self.kind = kind
        self._made: dict[int, Tensor] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.__deepcopy__:
            tensor, memo = args
            with torch._C.DisableTorchFunction():
                if id(tensor) not in memo:
                    memo[id(tensor)] = self._copy(tensor)
                return memo[id(tensor)]
        if func is Tensor.clone:  # a parameter is copied by cloning its data
            with torch._C.DisableTorchFunction():
                return self.kind.like(args[0])
        return func(*args, **(kwargs or {}))

    def _copy(self, tensor: Tensor) -> Tensor:
        value = _value(tensor)
        made = self.kind.like(tensor) if value is None else self.kind.number(value)
        return made.requires_grad_(tensor.requires_grad and tensor.is_leaf)


def _value(tensor: Tensor) -> Tensor | None:
    """Return the value of a tensor of no dimensions, on the CPU, if it has one."""
    if tensor.dim() or tensor.requires_grad or tensor.is_meta:
        return None
    if isinstance(tensor, FakeTensor):
        constant: Tensor | None = tensor.constant
        return None if constant is None else constant.clone()
    return tensor.detach().cpu().clone()


def _named(value: object) -> str:
    parts = value if isinstance(value, tuple) else (value,)
    return " and ".join(type(part).__name__ for part in parts)
