"""Products of a computation on real values, by layer and purpose, counted for what their factors are.

    the layer reads            values over all time steps                  a product is
    spikes                     0 and one other size (also with a sign)     an accumulation (AC) where the factor is not 0
    sums                       whole numbers up to 16                      as many accumulations as the number says
    real                       any other that neurons gave                 a multiply-accumulate (MAC) where the factor is not 0
    input                      any other that came in from outside         a MAC, zeros too

Sums are spikes added by a residual connection, and counts of events; real are average-pooled spikes, membrane potentials, traces.
What a layer reads in the forward pass decides for the products of its backward pass: the error of its weights is a product with
what it read. The error of its input is a product of two real numbers. Weights count as not zero.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, Literal, TypeVar

import torch
from torch import Tensor
from torch._ops import OpOverload

from bench.counting.macs import ROLES, RULES, Arguments, Macs, Product, Role
from bench.counting.operators import functional

Kind = Literal["spikes", "sums", "real", "input"]
V = TypeVar("V")
MOST = 16  # the largest whole number that is a sum of spikes


@dataclass(frozen=True)
class Operations:
    """``dense`` products; what is left of them as multiply-accumulates and accumulations."""

    dense: int = 0
    macs: int = 0
    acs: int = 0

    def __add__(self, other: Operations) -> Operations:
        return Operations(self.dense + other.dense, self.macs + other.macs, self.acs + other.acs)


@dataclass
class _Read:
    """What a layer has read so far."""

    from_outside: bool = False
    whole: bool = True
    least: float = 0.0  # size of what is not zero; 0: nothing so far
    largest: float = 0.0

    def see(self, values: Tensor, from_outside: bool) -> None:
        sizes = values[values != 0].abs().double()
        self.from_outside |= from_outside
        if sizes.numel():
            low, high = float(sizes.min()), float(sizes.max())
            self.least = min(self.least or low, low)
            self.largest = max(self.largest, high)
            self.whole &= high <= MOST and bool((sizes == sizes.round()).all())

    @property
    def kind(self) -> Kind:
        if self.least == self.largest:
            return "spikes"
        if self.whole:
            return "sums"
        return "input" if self.from_outside else "real"


@dataclass
class _Sum:
    """Products with one layer's input for one purpose: all, those with a factor that is not 0, and the sum of its sizes."""

    dense: int = 0
    active: int = 0
    weighted: float = 0.0

    def as_kind(self, kind: Kind) -> Operations:
        match kind:
            case "spikes":
                return Operations(self.dense, 0, self.active)
            case "sums":
                return Operations(self.dense, 0, round(self.weighted))
            case "real":
                return Operations(self.dense, self.active, 0)
        return Operations(self.dense, self.dense, 0)


class Synaptic:
    """Observer of operators; ``where()`` names the layer that runs. ``from_outside``: the input of the network."""

    def __init__(self, weights: Iterable[Tensor], from_outside: Iterable[Tensor], where: Callable[[], str]) -> None:
        self._macs = Macs(weights := list(weights))  # for the purpose of a product
        self._weights = {tensor.untyped_storage()._cdata for tensor in weights}
        self._where = where
        self._outside: _Marks[bool] = _Marks()
        self._layer_of: _Marks[str] = _Marks()  # of what a layer has read
        self._reads: dict[str, _Read] = {}
        self._with_input: dict[tuple[str, Role], _Sum] = {}
        self._others: dict[Role, int] = {}
        for tensor in from_outside:
            self._outside.put(tensor, True)

    def emitted(self, values: Iterable[Tensor]) -> None:
        """Mark what neurons emit: it no longer comes from outside."""
        for tensor in values:
            self._outside.drop(tensor)

    @contextmanager
    def recomputing(self) -> Iterator[None]:
        with self._macs.recomputing():
            yield

    def saves(self, kept: Iterable[Tensor]) -> None:
        """A watcher's method; what is saved takes no products."""

    def by_layer(self) -> Mapping[str, tuple[Kind, Operations]]:
        """Return what each layer reads, and its products in the forward pass, in the order of their first call."""
        return {
            layer: (read.kind, self._with_input[layer, "forward"].as_kind(read.kind))
            for layer, read in self._reads.items()
            if (layer, "forward") in self._with_input
        }

    def by_role(self) -> Mapping[Role, Operations]:
        """Return the products by purpose."""
        found: dict[Role, Operations] = {}
        for (layer, role), products in self._with_input.items():
            found[role] = found.get(role, Operations()) + products.as_kind(self._reads[layer].kind)
        for role, dense in self._others.items():
            found[role] = found.get(role, Operations()) + Operations(dense, dense, 0)
        return found

    def on_operator(self, op: OpOverload, args: Sequence[object], reads: list[Tensor], outputs: list[Tensor]) -> None:
        rule = RULES.get(functional(str(op.overloadpacket)))
        before = dict(self._macs.dense)
        self._macs.on_operator(op, args, reads, outputs)
        if rule is not None:
            changed = (role for role in ROLES if self._macs.dense[role] != before[role])
            purpose: Role = next(changed, "forward")
            named = _by_name(op, args)
            for product in rule(named, outputs):
                self._add(product, product.role or purpose, named)
        if any(self._outside.of(tensor) for tensor in reads if not self._is_weight(tensor)):
            for tensor in outputs:
                self._outside.put(tensor, True)

    def _add(self, product: Product, role: Role, named: Arguments) -> None:
        activations = [factor for factor in product.factors if not self._is_weight(factor)]
        if role in ("forward", "recomputation"):
            layer = self._where()
            read = self._reads.setdefault(layer, _Read())
            for factor in activations:
                self._layer_of.put(factor, layer)
                if role == "forward":
                    read.see(factor, bool(self._outside.of(factor)))
        known = [factor for factor in activations if self._layer_of.of(factor) is not None]
        if not known:
            self._others[role] = self._others.get(role, 0) + product.macs
            return
        layer = self._layer_of.of(known[0]) or ""
        sums = self._with_input.setdefault((layer, role), _Sum())
        sums.dense += product.macs
        active, weighted = _active(product, known, named)
        sums.active += active
        sums.weighted += weighted

    def _is_weight(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage()._cdata in self._weights


def _active(product: Product, known: Sequence[Tensor], named: Arguments) -> tuple[int, float]:
    """Return how many products have factors that are not 0, and the sum of the sizes of what was read over its products."""
    if "stride" in named and "dilation" in named:
        return round(_over_windows(_nonzero(known[0]), named)), _over_windows(known[0].abs(), named)
    if len(known) == 2:  # both are activations, as in attention
        one, other = product.factors
        if one.dim() == other.dim() >= 2 and one.shape[-1] == other.shape[-2]:
            together = float((_nonzero(one).double() @ _nonzero(other).double()).sum())
            return round(together), float((one.abs().double() @ other.abs().double()).sum())
    each = product.macs / known[0].numel()  # every element of a matrix takes part in equally many products
    return round(float(_nonzero(known[0]).sum(dtype=torch.float64)) * each), float(known[0].abs().sum(dtype=torch.float64)) * each


def _over_windows(x: Tensor, named: Arguments) -> float:
    """Return the sum over the products of a convolution of the element of ``x`` that takes part."""
    weight, groups = named["weight"], named.get("groups", 1)
    padding, dilation, stride = named["padding"], named["dilation"], named["stride"]
    spatial = len(weight.shape) - 2
    x = x if x.dim() == weight.dim() else x.unsqueeze(0)
    if named.get("transposed", False):
        ones = torch.ones_like(weight, dtype=x.dtype)
        out = torch.ops.aten.convolution(x, ones, None, stride, padding, dilation, True, named["output_padding"], groups)
        return float(out.sum(dtype=torch.float64))
    by_group = x.reshape(x.shape[0] * groups, -1, *x.shape[2:]).sum(1, keepdim=True)
    ones = torch.ones(1, 1, *weight.shape[2:], dtype=x.dtype, device=x.device)
    out = torch.ops.aten.convolution(by_group, ones, None, stride, padding, dilation, False, [0] * spatial, 1)
    each: int = weight.shape[0] // groups
    return float(out.sum(dtype=torch.float64)) * each


def _nonzero(x: Tensor) -> Tensor:
    return (x != 0).to(x.dtype if x.is_floating_point() else torch.float32)


def _by_name(op: OpOverload, args: Sequence[object]) -> Arguments:
    """Return the arguments of an operator by the names of its schema, with defaults."""
    schema = op._schema.arguments
    given = {argument.name: value for argument, value in zip(schema, args, strict=False)}
    return {argument.name: argument.default_value for argument in schema} | given


class _Marks(Generic[V]):
    """A value for each storage, while it is alive."""

    def __init__(self) -> None:
        self._values: dict[int, tuple[weakref.ref[torch.UntypedStorage], V]] = {}

    def put(self, tensor: Tensor, value: V) -> None:
        storage = tensor.untyped_storage()
        address = storage._cdata
        self._values[address] = weakref.ref(storage, partial(self._freed, address)), value

    def of(self, tensor: Tensor) -> V | None:
        found = self._values.get(tensor.untyped_storage()._cdata)
        return None if found is None else found[1]

    def drop(self, tensor: Tensor) -> None:
        self._values.pop(tensor.untyped_storage()._cdata, None)

    def _freed(self, address: int, _: object) -> None:
        self._values.pop(address, None)
