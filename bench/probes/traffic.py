"""Memory traffic of a training step in bytes, in three conventions, since papers rarely say which is theirs.

    compulsory          each operator reads every tensor it is given once and writes every tensor it returns once
    weights             of these the parameters alone: forward, error transport, update
    weights and saved   those, and what autograd keeps for the backward pass: written once and read once each time it is kept

Whatever stays in caches counts all the same; views and allocations move nothing. Fused kernels move less: they are one operator.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

aten = torch.ops.aten
_FREE = {aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten._unsafe_view, aten.lift_fresh}


class Traffic:
    """Observer that adds up bytes; ``parameters`` are those of the network watched."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._parameters = {parameter.untyped_storage()._cdata for parameter in parameters}
        self.read = self.written = self.weights = self.saved = 0

    def on_operator(self, op: Any, args: Sequence[Any], reads: list[Tensor], outputs: list[Tensor]) -> None:
        if op.overloadpacket in _FREE:
            return
        self.written += sum([_bytes(tensor) for tensor in outputs])
        self.read += sum([_bytes(tensor) for tensor in reads])
        self.weights += sum([_bytes(t) for t in (*reads, *outputs) if self._is_parameter(t)])

    def on_saved(self, tensor: Tensor) -> None:
        if not self._is_parameter(tensor):
            self.saved += _bytes(tensor)

    def conventions(self) -> dict[str, int]:
        """Bytes by convention, and the two parts of the first."""
        return {
            "compulsory": self.read + self.written,
            "weights": self.weights,
            "weights and saved": self.weights + 2 * self.saved,
            "read": self.read,
            "written": self.written,
        }

    def _is_parameter(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self._parameters


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
