"""Multiply-accumulates of the operators that ran, by purpose, in two conventions.

    dense            every product of a convolution, a matrix product, an attention or a fused recurrent layer counts
    multiplications  a product in which one factor is a binary spike (up to a constant factor) is an accumulation: not counted

Tensors of binary spikes are tracked from the neurons through views, copies, stacking and multiplication by a constant.
Average-pooled spikes have several levels and count as real numbers; so do traces.

Element-wise operators count in neither convention. Every operator is counted by a rule in this file, or is on the reviewed lists
of operators that multiply no matrices (operators.py); any other raises LookupError.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor
from torch._ops import OpOverload

from bench.counting.operators import functional, multiplies_no_matrices

Role = Literal["forward", "recomputation", "error to input", "error to weight"]
ROLES: tuple[Role, ...] = ("forward", "recomputation", "error to input", "error to weight")
aten = torch.ops.aten
_ATTENTION = (
    *("flash_attention", "flash_attention_for_cpu", "efficient_attention", "cudnn_attention"),
    "fused_attention_overrideable",
)


@dataclass(frozen=True)
class Product:
    """``macs`` products of two factors. ``role`` is their purpose; None if it follows from when the operator runs."""

    role: Role | None
    macs: int
    factors: tuple[Tensor, Tensor]


Arguments = Mapping[str, Any]  # of an operator, by name in its schema
Rule = Callable[[Arguments, list[Tensor]], list[Product]]


def _matrices(first: str, second: str) -> Rule:
    """[..., n, k] x [..., k, m]: n * k * m products."""

    def rule(a: Arguments, outputs: list[Tensor]) -> list[Product]:
        return [Product(None, a[first].numel() * a[second].shape[-1], (a[first], a[second]))]

    return rule


def _vectors(first: str, second: str) -> Rule:
    """A matrix or a vector times a vector: one product per element of the first."""

    def rule(a: Arguments, outputs: list[Tensor]) -> list[Product]:
        return [Product(None, a[first].numel(), (a[first], a[second]))]

    return rule


def _outer(a: Arguments, outputs: list[Tensor]) -> list[Product]:
    return [Product(None, a["vec1"].numel() * a["vec2"].numel(), (a["vec1"], a["vec2"]))]


def _dense(x: str) -> Rule:
    """[..., k] x weight[m, k]: m products per element of the first."""

    def rule(a: Arguments, outputs: list[Tensor]) -> list[Product]:
        return [Product(None, a[x].numel() * a["weight"].shape[0], (a[x], a["weight"]))]

    return rule


def _convolution(x: str, transposed: bool | None = None) -> Rule:
    """Every output element (input element if transposed) is multiplied with all weights of its channel.

    weight: [out, in / groups, ...], or transposed [in, out / groups, ...]. ``transposed`` is None if an argument states it.
    """

    def rule(a: Arguments, outputs: list[Tensor]) -> list[Product]:
        backwards = a["transposed"] if transposed is None else transposed
        positions = a[x] if backwards else outputs[0]
        return [Product(None, positions.numel() * prod(a["weight"].shape[1:]), (a[x], a["weight"]))]

    return rule


def _convolution_backward(a: Arguments, outputs: list[Tensor]) -> list[Product]:
    g, x, weight = a["grad_output"], a["input"], a["weight"]
    macs = (x if a["transposed"] else g).numel() * prod(weight.shape[1:])
    return _requested(a["output_mask"], g, x, weight, macs)


def _linear_backward(a: Arguments, outputs: list[Tensor]) -> list[Product]:
    g, x, weight = a["grad_output"], a["self"], a["weight"]
    return _requested(a["output_mask"], g, x, weight, g.numel() * weight.shape[1])


def _requested(mask: Sequence[bool], g: Tensor, x: Tensor, weight: Tensor, macs: int) -> list[Product]:
    to_input, to_weight = Product("error to input", macs, (g, weight)), Product("error to weight", macs, (g, x))
    return [product for product, wanted in zip((to_input, to_weight), mask, strict=False) if wanted]


def _attention(sequence: int) -> Rule:
    """softmax(q k') v; ``sequence`` is the dimension of positions. All pairs of query and key count, also masked ones."""

    def rule(a: Arguments, outputs: list[Tensor]) -> list[Product]:
        q, k, v = a["query"], a["key"], a["value"]
        pairs = _pairs(a, sequence)
        return [Product(None, pairs * q.shape[-1], (q, k)), Product(None, pairs * v.shape[-1], (outputs[0], v))]

    return rule


def _attention_backward(sequence: int) -> Rule:
    """The scores are recomputed; then the gradients of the scores, v, q and k."""

    def rule(a: Arguments, outputs: list[Tensor]) -> list[Product]:
        q, k, v = a["query"], a["key"], a["value"]
        g = a["grad_out"] if "grad_out" in a else a["grad_out_"]
        short, wide = (_pairs(a, sequence) * n for n in (q.shape[-1], v.shape[-1]))
        return [
            Product("recomputation", short, (q, k)),
            Product("error to input", wide, (g, v)),
            Product("error to input", wide, (g, g)),
            Product("error to input", short, (g, k)),
            Product("error to input", short, (g, q)),
        ]

    return rule


def _pairs(a: Arguments, sequence: int) -> int:
    packed = [name for name in a if name.startswith("cu") and "seq" in name and a[name] is not None]
    if packed:
        raise LookupError(f"attention over packed sequences ({packed[0]}) cannot be counted: pad them to one length")
    q: Tensor = a["query"]
    return q.shape[:-1].numel() * int(a["key"].shape[sequence])


def _mkldnn_recurrent(a: Arguments, outputs: list[Tensor]) -> list[Product]:
    """One layer in one direction: x[T, B, I] times the input weights, and the hidden state of each step times the hidden ones."""
    x, of_input, of_hidden = a["input"], a["weight0"], a["weight1"]
    positions = x.shape[0] * x.shape[1]
    hidden = outputs[0]
    return [
        Product(None, positions * of_input.numel(), (x, of_input)),
        Product(None, positions * of_hidden.numel(), (hidden, of_hidden)),
    ]


def _mkldnn_recurrent_backward(a: Arguments, outputs: list[Tensor]) -> list[Product]:
    x, hidden = a["input"], a["output"]
    positions = x.shape[0] * x.shape[1]
    products = []
    for read, weight in ((x, a["weight1"]), (hidden, a["weight2"])):
        products.append(Product("error to input", positions * weight.numel(), (hidden, weight)))
        products.append(Product("error to weight", positions * weight.numel(), (hidden, read)))
    return products


def _cudnn_recurrent(a: Arguments, outputs: list[Tensor]) -> list[Product]:
    """Every weight matrix of all layers and directions at every time step; the first of each direction of layer 1 reads x."""
    hidden = outputs[0]
    return [Product(None, _steps(a) * weight.numel(), (read, weight)) for read, weight in _inputs_and_weights(a, hidden)]


def _cudnn_recurrent_backward(a: Arguments, outputs: list[Tensor]) -> list[Product]:
    """The gradients of the inputs are always computed, because the weight gradients need them."""
    hidden = a["output"]
    products = []
    for read, weight in _inputs_and_weights(a, hidden):
        products.append(Product("error to input", _steps(a) * weight.numel(), (hidden, weight)))
        if a["output_mask"][3]:
            products.append(Product("error to weight", _steps(a) * weight.numel(), (hidden, read)))
    return products


def _steps(a: Arguments) -> int:
    """Return the time steps of all samples: input is [T, B, I], or [steps, I] if sequences are packed."""
    return int(a["input"].shape[:-1].numel())


def _inputs_and_weights(a: Arguments, hidden: Tensor) -> list[tuple[Tensor, Tensor]]:
    first = {0, a["weight_stride0"]} if a["bidirectional"] else {0}
    return [(a["input"] if i in first else hidden, w) for i, w in enumerate(a["weight"]) if w.dim() > 1]


# By name of the functional form. The dimension of positions is 2 in [B, heads, positions, features], 1 in [B, positions, ...].
RULES: dict[str, Rule] = {
    "aten.mm": _matrices("self", "mat2"),
    "aten.bmm": _matrices("self", "mat2"),
    "aten.addmm": _matrices("mat1", "mat2"),
    "aten._addmm_activation": _matrices("mat1", "mat2"),
    "aten.baddbmm": _matrices("batch1", "batch2"),
    "aten.addbmm": _matrices("batch1", "batch2"),
    "aten._int_mm": _matrices("self", "mat2"),
    "aten._scaled_mm": _matrices("self", "mat2"),
    "aten.mv": _vectors("self", "vec"),
    "aten.addmv": _vectors("mat", "vec"),
    "aten.dot": _vectors("self", "tensor"),
    "aten.vdot": _vectors("self", "other"),
    "aten.addr": _outer,
    "aten.linear": _dense("input"),
    "aten.mkldnn_linear": _dense("self"),
    "aten.linear_backward": _linear_backward,
    "aten.convolution": _convolution("input"),
    "aten._convolution": _convolution("input"),
    "aten.convolution_overrideable": _convolution("input"),
    "aten.cudnn_convolution": _convolution("self", False),
    "aten.cudnn_convolution_transpose": _convolution("self", True),
    "aten.mkldnn_convolution": _convolution("self", False),
    "aten._slow_conv2d_forward": _convolution("self", False),
    "aten.convolution_backward": _convolution_backward,
    "aten.mkldnn_rnn_layer": _mkldnn_recurrent,
    "aten.mkldnn_rnn_layer_backward": _mkldnn_recurrent_backward,
    "aten._cudnn_rnn": _cudnn_recurrent,
    "aten._cudnn_rnn_backward": _cudnn_recurrent_backward,
    **{f"aten._scaled_dot_product_{kind}": _attention(2) for kind in _ATTENTION},
    **{f"aten._scaled_dot_product_{kind}_backward": _attention_backward(2) for kind in _ATTENTION},
    **{f"aten._{kind}_attention_forward": _attention(1) for kind in ("flash", "efficient")},
    **{f"aten._{kind}_attention_backward": _attention_backward(1) for kind in ("flash", "efficient")},
}

# Outputs of these are binary spikes if all tensors they read are. Views share the mark of their storage.
_KEEP_SPIKES = {
    aten._unsafe_view, aten.reshape, aten.clone, aten._to_copy, aten.stack, aten.cat, aten.upsample_nearest2d,
    aten.max_pool2d_with_indices,
}  # fmt: skip

_UNPACK = "spikecost.unpack"  # unpacks saved one-bit spikes

# These too, if the other factor is a number.
_SCALE_SPIKES = {aten.mul, aten.div, aten.mul_, aten.div_}


@cache
def _rule(op: OpOverload) -> Rule | None:
    """Return the rule of an operator; None if it multiplies no matrices. Raises LookupError if the operator is unknown."""
    rule = RULES.get(functional(str(op.overloadpacket)))
    if rule is None and not multiplies_no_matrices(op):
        raise LookupError(
            f"no counting rule for operator {op.overloadpacket}: add a rule to bench/counting/macs.py or, if it multiplies no "
            "matrices, its name to bench/counting/operators.py"
        )
    return rule


def _named(op: OpOverload, args: Sequence[object]) -> Arguments:
    """Return the arguments by name, with defaults for omitted ones. Keyword-only arguments are no factors and are ignored."""
    schema = op._schema.arguments
    defaults = {argument.name: argument.default_value for argument in schema[len(args) :]}
    return {**{argument.name: value for argument, value in zip(schema, args, strict=False)}, **defaults}


def _checked(op: OpOverload, product: Product) -> Product:
    """Return ``product``. Raises LookupError for sparse or complex tensors, whose number of multiplications differs."""
    for factor in product.factors:
        if factor.layout is torch.sparse_coo or factor.layout in _COMPRESSED or factor.is_complex():
            kind = "complex" if factor.is_complex() else "sparse"
            raise LookupError(f"no counting rule for operator {op.overloadpacket} on {kind} tensors (bench/counting/macs.py)")
    return product


_COMPRESSED = {torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc}


def _remember(known: dict[int, Any], tensor: Tensor) -> None:
    storage = tensor.untyped_storage()
    address = storage._cdata
    known[address] = weakref.ref(storage, lambda _: known.pop(address, None))


class Macs:
    """Observer that adds up products; ``weights`` are the parameters of the observed network."""

    def __init__(self, weights: Iterable[Tensor]) -> None:
        self._recomputing = False
        self.dense: dict[str, int] = dict.fromkeys(ROLES, 0)
        self.multiplications: dict[str, int] = dict.fromkeys(ROLES, 0)
        self._spikes: dict[int, weakref.ref[torch.UntypedStorage]] = {}  # storage address -> weak reference
        self._weights = {tensor.untyped_storage()._cdata for tensor in weights}
        self._casts: dict[int, Any] = {}  # copies of weights in another type, as mixed precision makes: address -> weak reference
        self._paired: dict[int, Any] = {}  # factors of products of activations alone, as in attention: address -> weak reference

    @contextmanager
    def recomputing(self) -> Iterator[None]:
        """In this context, time steps are computed a second time."""
        self._recomputing = True
        try:
            yield
        finally:
            self._recomputing = False

    def mark_spikes(self, values: Iterable[Tensor]) -> None:
        for tensor in values:
            storage = tensor.untyped_storage()
            address = storage._cdata
            self._spikes[address] = weakref.ref(storage, partial(self._freed, address))

    def _freed(self, address: int, _: object) -> None:
        self._spikes.pop(address, None)

    def is_spikes(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self._spikes

    def on_operator(self, op: OpOverload, args: Sequence[object], reads: list[Tensor], outputs: list[Tensor]) -> None:
        packet = op.overloadpacket
        rule = _rule(op)
        if rule is not None:
            for product in rule(_named(op, args), outputs):
                role = product.role or self._role(_checked(op, product).factors)
                if packet is aten.bmm and role in ("forward", "recomputation"):
                    self._remember_pair(product.factors)
                self.dense[role] += product.macs
                if not any(self.is_spikes(factor) for factor in product.factors):
                    self.multiplications[role] += product.macs
        if packet is aten._to_copy and self._is_weight(reads[0]):
            self._remember_cast(outputs[0])
        if str(packet) == _UNPACK:
            self.mark_spikes(outputs)
        elif not self._spikes:
            return
        elif self._keeps_spikes(packet, args, reads):
            self.mark_spikes(outputs)
        elif op._schema.is_mutable:  # an in-place change: no longer spikes
            for tensor in outputs:
                self._spikes.pop(tensor.untyped_storage()._cdata, None)

    def _keeps_spikes(self, packet: object, args: Sequence[object], reads: list[Tensor]) -> bool:
        if packet in _KEEP_SPIKES:
            return bool(reads) and all(self.is_spikes(tensor) for tensor in reads)
        if packet in _SCALE_SPIKES:
            spikes, factor = args[0], args[1]
            return isinstance(spikes, Tensor) and not isinstance(factor, Tensor) and self.is_spikes(spikes)
        return False

    def _role(self, factors: tuple[Tensor, Tensor]) -> Role:
        """Return the purpose of a product if the operator does not state it: gradients are computed inside an autograd node."""
        if torch._C._current_autograd_node() is None:
            return "recomputation" if self._recomputing else "forward"
        if torch.is_grad_enabled():  # a node that recomputes layers, as in checkpointing over layers
            return "recomputation"
        carries_error = any(self._is_weight(factor) or factor.untyped_storage()._cdata in self._paired for factor in factors)
        return "error to input" if carries_error else "error to weight"

    def _is_weight(self, tensor: Tensor) -> bool:
        address = tensor.untyped_storage()._cdata
        return address in self._weights or address in self._casts

    def _remember_cast(self, tensor: Tensor) -> None:
        _remember(self._casts, tensor)

    def _remember_pair(self, factors: tuple[Tensor, Tensor]) -> None:
        """The gradient of a product of activations is a product with the other one: both are errors to inputs."""
        if not any(self._is_weight(factor) for factor in factors):
            for factor in factors:
                _remember(self._paired, factor)
