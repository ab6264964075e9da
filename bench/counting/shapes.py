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


class _NotRemembered(Exception):
    """The call or its result cannot be cached."""


class Shapes:
    """Calls operators on meta tensors through a cache, all others directly."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, Callable[[list[Tensor]], Any] | None] = {}

    def __call__(self, op: OpOverload, args: Sequence[object], kwargs: Mapping[str, object]) -> Any:
        try:
            question, given = _question(op, args, kwargs)
        except _NotRemembered:
            return op(*args, **kwargs)
        answer = self._answers.get(question)
        if answer is not None:
            return answer(given)
        result = op(*args, **kwargs)
        if question not in self._answers:
            try:
                resized = _question(op, args, kwargs)[0] != question
                self._answers[question] = None if resized else _recipe(result, given)
            except _NotRemembered:
                self._answers[question] = None
        return result


def _question(op: OpOverload, args: Sequence[object], kwargs: Mapping[str, object]) -> tuple[Hashable, list[Tensor]]:
    """Return the key of a call, and the meta tensors among its arguments, at least one."""
    given: list[Tensor] = []
    question = (op, _key(args, given), _key(kwargs, given) if kwargs else ())
    if not given:
        raise _NotRemembered
    return question, given


def _key(value: object, given: list[Tensor]) -> Hashable:
    kind = type(value)
    if kind in _PLAIN:
        plain: Hashable = value
        return plain
    if kind is float:
        return None  # numbers do not affect shapes
    if kind is bool:
        return (kind, value)  # with its type, because 1 == True
    if isinstance(value, (list, tuple)):
        return tuple([_key(item, given) for item in value])
    if isinstance(value, Tensor):
        if value.is_meta:
            given.append(value)
            return (value.shape, value.stride(), value.dtype)
        if value.dim():
            raise _NotRemembered
        return value.dtype  # a scalar tensor, which may be mixed with any device
    if isinstance(value, Mapping):
        return tuple([(name, _key(item, given)) for name, item in value.items()])
    raise _NotRemembered


def _recipe(result: object, given: list[Tensor]) -> Callable[[list[Tensor]], Any]:
    """Return a function that creates a result like ``result`` from other arguments of the same shapes."""
    if result is None:
        return lambda _: None
    if isinstance(result, (list, tuple)):
        parts, kind = [_recipe(part, given) for part in result], type(result)
        return lambda given: kind([part(given) for part in parts])
    if not isinstance(result, Tensor):
        raise _NotRemembered
    for i, argument in enumerate(given):
        if result is argument:
            return lambda given: given[i]
    storage = result.untyped_storage()
    size, stride, dtype = result.shape, result.stride(), result.dtype
    shared = any(storage._cdata == argument.untyped_storage()._cdata for argument in given)
    made = torch.empty_strided(size, stride, dtype=dtype, device="meta")
    if shared or result.storage_offset() or made.untyped_storage().nbytes() != storage.nbytes():
        raise _NotRemembered
    return lambda _: torch.empty_strided(size, stride, dtype=dtype, device="meta")
