"""Memory traffic: the bytes that the operators must read and write at least.

Convention "compulsory": each operator reads every tensor it is given once and writes every tensor it returns once,
whatever stays in caches; views and allocations move nothing. Fused kernels move less: they are one operator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
_FREE = {aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten._unsafe_view, aten.lift_fresh}


class Traffic:
    """Observer that adds up bytes read and written."""

    def __init__(self) -> None:
        self.read = 0
        self.written = 0

    def on_operator(self, op: Any, args: Sequence[Any], reads: list[Tensor], outputs: list[Tensor]) -> None:
        if op.overloadpacket in _FREE:
            return
        self.written += sum([_bytes(tensor) for tensor in outputs])
        self.read += sum([_bytes(tensor) for tensor in reads])


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
