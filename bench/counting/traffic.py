"""Memory traffic of a training step in bytes, in three conventions, because papers rarely state theirs.

    compulsory          each operator reads every argument tensor once and writes every returned tensor once
    weights             the part of it that is parameters: forward, back-propagation of errors, update
    weights and saved   weights, and tensors saved for backward: written once and read once each time they are saved

Caches are ignored; views and allocations move nothing. A fused kernel is one operator and moves less.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch._ops import OpOverload

aten = torch.ops.aten
_FREE = {aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten._unsafe_view, aten.lift_fresh}


class Traffic:
    """Observer that adds up bytes; ``parameters`` are those of the observed network."""

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self._parameters = {parameter.untyped_storage()._cdata for parameter in parameters}
        self.read = self.written = self.weights = self.saved = 0

    def on_operator(self, op: OpOverload, args: Sequence[object], reads: list[Tensor], outputs: list[Tensor]) -> None:
        if op.overloadpacket in _FREE:
            return
        self.written += sum([_bytes(tensor) for tensor in outputs])
        self.read += sum([_bytes(tensor) for tensor in reads])
        self.weights += sum([_bytes(t) for t in (*reads, *outputs) if self._is_parameter(t)])

    def on_saved(self, tensor: Tensor) -> None:
        if not self._is_parameter(tensor):
            self.saved += _bytes(tensor)

    def conventions(self) -> dict[str, int]:
        """Return the bytes by convention, and the two parts (read, written) of the first."""
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
