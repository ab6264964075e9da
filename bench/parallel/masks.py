"""Dropout masks of a whole batch, of which a process takes the rows of its own samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping

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
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        if getattr(func, "__name__", "") != "bernoulli_":
            return func(*args, **(kwargs or {}))
        mask, *probability = args
        assert isinstance(mask, Tensor), "a method of tensors"
        layout = [0, *sorted(range(1, mask.dim()), key=mask.stride, reverse=True)]  # draws follow the order of memory
        shape = (self._batch, *mask.shape[1:])
        whole = torch.empty_permuted(shape, layout, dtype=mask.dtype, device=mask.device)
        func(whole, *probability, **(kwargs or {}))
        return mask.copy_(whole[self._rows])
