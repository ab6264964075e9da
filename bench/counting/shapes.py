"""Cache for operators on device 'meta': the same input shapes give the same output shapes.

On device 'meta' an operator is computed in Python and takes half a millisecond. A training step repeats the same few hundred
calls at every time step; each is computed once. Results that share storage with an argument (views) are not cached, except an
argument that is returned itself (in-place and ``out=`` operators).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

_PLAIN = frozenset({int, str, type(None), torch.dtype, torch.device, torch.layout, torch.memory_format})


class _NotCacheable(Exception):
    """The call or its result cannot be cached."""


class Shapes:
    """Calls operators on meta tensors through a cache, all others directly."""

    def __init__(self) -> None:
        self._makers: dict[Hashable, Callable[[list[Tensor]], Any] | None] = {}

    def __call__(self, op: OpOverload, args: Sequence[object], kwargs: Mapping[str, object]) -> Any:
        try:
            call, meta_tensors = _call_key(op, args, kwargs)
        except _NotCacheable:
            return op(*args, **kwargs)
        make = self._makers.get(call)
        if make is not None:
            return make(meta_tensors)
        result = op(*args, **kwargs)
        if call not in self._makers:
            try:
                resized = _call_key(op, args, kwargs)[0] != call
                self._makers[call] = None if resized else _maker(result, meta_tensors)
            except _NotCacheable:
                self._makers[call] = None
        return result


def _call_key(op: OpOverload, args: Sequence[object], kwargs: Mapping[str, object]) -> tuple[Hashable, list[Tensor]]:
    """Return the key of a call, and the meta tensors among its arguments, at least one."""
    meta_tensors: list[Tensor] = []
    call = (op, _key(args, meta_tensors), _key(kwargs, meta_tensors) if kwargs else ())
    if not meta_tensors:
        raise _NotCacheable
    return call, meta_tensors


def _key(value: object, meta_tensors: list[Tensor]) -> Hashable:
    kind = type(value)
    if kind in _PLAIN:
        plain: Hashable = value
        return plain
    if kind is float:
        return None  # numbers do not affect shapes
    if kind is bool:
        return (kind, value)  # with its type, because 1 == True
    if isinstance(value, (list, tuple)):
        return tuple([_key(item, meta_tensors) for item in value])
    if isinstance(value, Tensor):
        if value.is_meta:
            meta_tensors.append(value)
            return (value.shape, value.stride(), value.dtype)
        if value.dim():
            raise _NotCacheable
        return value.dtype  # a scalar tensor, which may be mixed with any device
    if isinstance(value, Mapping):
        return tuple([(name, _key(item, meta_tensors)) for name, item in value.items()])
    raise _NotCacheable


def _maker(result: object, meta_tensors: list[Tensor]) -> Callable[[list[Tensor]], Any]:
    """Return a function that creates a result like ``result`` from other arguments of the same shapes."""
    if result is None:
        return lambda _: None
    if isinstance(result, (list, tuple)):
        parts, kind = [_maker(part, meta_tensors) for part in result], type(result)
        return lambda meta_tensors: kind([part(meta_tensors) for part in parts])
    if not isinstance(result, Tensor):
        raise _NotCacheable
    for i, argument in enumerate(meta_tensors):
        if result is argument:
            return lambda meta_tensors: meta_tensors[i]
    storage = result.untyped_storage()
    size, stride, dtype = result.shape, result.stride(), result.dtype
    shared = any(storage._cdata == argument.untyped_storage()._cdata for argument in meta_tensors)
    fresh = torch.empty_strided(size, stride, dtype=dtype, device="meta")
    if shared or result.storage_offset() or fresh.untyped_storage().nbytes() != storage.nbytes():
        raise _NotCacheable
    return lambda _: torch.empty_strided(size, stride, dtype=dtype, device="meta")
