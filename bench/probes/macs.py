"""Multiply-accumulates of the operators that ran, by what they were for, in two conventions.

    dense            every product of a convolution or matrix product counts
    multiplications  a product in which one factor is a binary spike (up to a constant factor) is an accumulation: not counted

Whether a tensor holds binary spikes is followed from the neurons through views, copies, stacking and multiplication by a
constant. Average-pooled spikes have several levels and count as real numbers; so do traces.
Element-wise operators count in neither convention; an operator that multiplies matrices and has no rule here raises.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor

Role = Literal["forward", "recomputation", "error to input", "error to weight"]
ROLES: tuple[Role, ...] = ("forward", "recomputation", "error to input", "error to weight")
aten = torch.ops.aten


@dataclass(frozen=True)
class Product:
    """``macs`` products of two factors; ``role`` is None where what runs the operator tells a product's."""

    role: Role | None
    macs: int
    factors: tuple[Tensor, Tensor]


def _convolution(args: Sequence[Any], outputs: list[Tensor]) -> list[Product]:
    x, weight = args[0], args[1]
    return [Product(None, outputs[0].numel() * prod(weight.shape[1:]), (x, weight))]


def _convolution_backward(args: Sequence[Any], outputs: list[Tensor]) -> list[Product]:
    g, x, weight, wanted = args[0], args[1], args[2], args[-1]
    macs = g.numel() * prod(weight.shape[1:])
    products = []
    if wanted[0]:
        products.append(Product("error to input", macs, (g, weight)))
    if wanted[1]:
        products.append(Product("error to weight", macs, (g, x)))
    return products


def _matrix_product(args: Sequence[Any], outputs: list[Tensor]) -> list[Product]:
    a, b = args[-2], args[-1]
    return [Product(None, outputs[0].numel() * a.shape[-1], (a, b))]


Rule = Callable[[Sequence[Any], list[Tensor]], list[Product]]
RULES: dict[Any, Rule] = {
    aten.convolution: _convolution,
    aten._convolution: _convolution,
    aten.convolution_backward: _convolution_backward,
    aten.mm: _matrix_product,
    aten.bmm: _matrix_product,
    aten.addmm: _matrix_product,
    aten.baddbmm: _matrix_product,
}
_WITHOUT_RULE = ("conv", "matmul", "mm", "mv", "dot", "linear", "attention", "einsum")

# Outputs of these hold binary spikes if every tensor they read does. Views share their storage's mark.
_KEEP_SPIKES = {
    aten._unsafe_view, aten.reshape, aten.clone, aten._to_copy, aten.stack, aten.cat, aten.upsample_nearest2d,
    aten.max_pool2d_with_indices,
}  # fmt: skip

_UNPACK = "spikecost.unpack"  # what was kept at one bit a spike

# These too, where the other factor is a plain number.
_SCALE_SPIKES = {aten.mul, aten.div, aten.mul_, aten.div_}


@cache
def _rule(packet: Any) -> Rule | None:
    """How to count an operator; None for one that multiplies no matrices."""
    rule = RULES.get(packet)
    if rule is None and str(packet).startswith("aten.") and any(word in str(packet) for word in _WITHOUT_RULE):
        raise LookupError(f"no counting rule for operator {packet}: add one to bench/probes/macs.py")
    return rule


class Macs:
    """Observer that adds up products; ``weights`` are the parameters of the network watched.

    ``again`` tells whether what runs is a second pass through steps that ran before.
    """

    def __init__(self, weights: Iterable[Tensor], again: Callable[[], bool] = lambda: False) -> None:
        self._again = again
        self.dense: dict[str, int] = dict.fromkeys(ROLES, 0)
        self.multiplications: dict[str, int] = dict.fromkeys(ROLES, 0)
        self._spikes: dict[int, Any] = {}  # storage address -> weak reference
        self._weights = {tensor.untyped_storage()._cdata for tensor in weights}

    def mark_spikes(self, values: Iterable[Tensor]) -> None:
        for tensor in values:
            storage = tensor.untyped_storage()
            address = storage._cdata
            self._spikes[address] = weakref.ref(storage, partial(self._freed, address))

    def _freed(self, address: int, _: Any) -> None:
        self._spikes.pop(address, None)

    def is_spikes(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self._spikes

    def on_operator(self, op: Any, args: Sequence[Any], reads: list[Tensor], outputs: list[Tensor]) -> None:
        packet = op.overloadpacket
        rule = _rule(packet)
        if rule is not None:
            for product in rule(args, outputs):
                role = product.role or self._role(product.factors)
                self.dense[role] += product.macs
                if not any(self.is_spikes(factor) for factor in product.factors):
                    self.multiplications[role] += product.macs
        elif str(packet) == _UNPACK:
            self.mark_spikes(outputs)
        elif not self._spikes:
            return
        elif self._keeps_spikes(packet, args, reads):
            self.mark_spikes(outputs)
        elif op._schema.is_mutable:  # changed in place: what held spikes holds real numbers now
            for tensor in outputs:
                self._spikes.pop(tensor.untyped_storage()._cdata, None)

    def _keeps_spikes(self, packet: Any, args: Sequence[Any], reads: list[Tensor]) -> bool:
        if packet in _KEEP_SPIKES:
            return bool(reads) and all(self.is_spikes(tensor) for tensor in reads)
        if packet in _SCALE_SPIKES:
            constant = not isinstance(args[1], Tensor)
            return constant and self.is_spikes(args[0])
        return False

    def _role(self, factors: tuple[Tensor, Tensor]) -> Role:
        """What a product is for where its operator does not tell: a gradient's is made while autograd runs a node."""
        if torch._C._current_autograd_node() is None:
            return "recomputation" if self._again() else "forward"
        if torch.is_grad_enabled():  # a node that runs a piece of the network once more, as checkpointing by layers does
            return "recomputation"
        carries_error = any(factor.untyped_storage()._cdata in self._weights for factor in factors)
        return "error to input" if carries_error else "error to weight"
