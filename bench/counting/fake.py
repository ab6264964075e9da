"""Shapes alone, on fake CPU tensors: unlike on device 'meta', PyTorch's autocast works there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode

from bench.counting.tape import tensors

_PERMUTATIONS = (torch.ops.aten.randperm.default,)


class _RealPermutations(TorchDispatchMode):
    """Permutations of time steps that an algorithm draws have values, because it uses them as indices."""

    def __torch_dispatch__(self, func: OpOverload, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = list(tensors(args))
        if func in _PERMUTATIONS or (given and not any(isinstance(tensor, FakeTensor) for tensor in given)):
            with unset_fake_temporarily():
                return func(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


@contextmanager
def fake_tensors() -> Iterator[None]:
    """In this context, tensors on the CPU have a shape and a type, but no storage; only drawn permutations are real."""
    with FakeTensorMode(), _RealPermutations():
        yield
