"""Which operators a computation runs, by namespace: a framework's fused kernels have one of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor
from torch._ops import OpOverload


@dataclass
class Operators:
    """Observer of bench/counting/tape.py."""

    namespaces: set[str] = field(default_factory=set)

    def on_operator(self, op: OpOverload, args: Sequence[object], reads: list[Tensor], outputs: list[Tensor]) -> None:
        self.namespaces.add(op.namespace)
