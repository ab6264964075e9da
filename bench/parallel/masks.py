"""Dropout masks of a whole batch, of which a process takes the rows of its own samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class MasksOfTheBatch(TorchFunctionMode):
    """In this context ``mask.bernoulli_(p)`` of masks [B_r, ...] draws for all ``batch`` samples, and keeps ``rows``.

    All processes must have the same state of the random number generator.
    """

    def __init__(self, rows: slice, batch: int) -> None:
        super().__init__()
        self._rows, self._batch = rows, batch

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is not Tensor.bernoulli_:
            return func(*args, **(kwargs or {}))
        mask, *probability = args
        layout = [0, *sorted(range(1, mask.dim()), key=mask.stride, reverse=True)]  # draws follow the order of memory
        shape = (self._batch, *mask.shape[1:])
        whole = torch.empty_permuted(shape, layout, dtype=mask.dtype, device=mask.device)
        return mask.copy_(whole.bernoulli_(*probability, **(kwargs or {}))[self._rows])
