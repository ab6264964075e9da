"""The LIF layer of kernels/lif.py as fused operators: compiled C++ on a CPU, Triton on a GPU (kernels/triton_lif.py).

The operators are registered with PyTorch (``torch.ops.spikecost``), also for device 'meta'. They allocate only what they return.
Spikes equal those of the plain-PyTorch reference exactly; gradients are equal up to the rounding of exp.
"""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.autograd.graph import increment_version

from bench.errors import UserError
from bench.spec import NeuronSpec, SurrogateKind

# Numbers of the surrogates in cpu.cpp and triton_lif.py.
NUMBERS: dict[SurrogateKind, int] = {"sigmoid": 0, "triangle": 1, "rectangle": 2, "arctangent": 3, "fast sigmoid": 4}
TYPES = {
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.bfloat16: torch.float32,
}  # currents -> potentials
_SETTINGS = "float threshold, float alpha, int surrogate, bool hard, bool attached, bool in_space"

_operators = torch.library.Library("spikecost", "DEF")
_operators.define(f"lif_(Tensor(a!) x, Tensor(b!)? u, Tensor? v, Tensor decay, {_SETTINGS}) -> (Tensor, Tensor)")
_operators.define(
    "lif_backward_(Tensor(a!) u, Tensor(b!)? g_x, Tensor? g_s, Tensor? g_v, Tensor? v, Tensor decay, bool further, bool learnt, "
    f"{_SETTINGS}) -> (Tensor?, Tensor?)"
)
_operators.define("pack(Tensor s) -> Tensor")
_operators.define("unpack(Tensor bits, SymInt n, ScalarType type) -> Tensor")


def kernels(device: str) -> Any:
    """Return the module that computes an operator's outputs in place: compiled C++ on 'cpu', Triton on 'cuda'."""
    if device == "cpu":
        from bench.kernels import cpu

        return cpu
    from bench.kernels import triton_lif

    return triton_lif


def _one_step(x: Tensor) -> Tensor:
    return torch.empty_strided(x.shape[1:], x.stride()[1:], dtype=TYPES[x.dtype], device=x.device)


def _lif(x: Tensor, u: Tensor | None, v: Tensor | None, decay: Tensor, *settings: Any) -> tuple[Tensor, Tensor]:
    s, after = torch.empty_like(x), _one_step(x)
    if not x.is_meta:
        kernels(x.device.type).lif_(x, x if u is None else u, v, decay, s, after, settings)
    return s, after


def _lif_backward(
    u: Tensor, g_x: Tensor | None, g_s: Tensor | None, g_v: Tensor | None, v: Tensor | None, decay: Tensor,
    further: bool, learnt: bool, *settings: Any,
) -> tuple[Tensor | None, Tensor | None]:  # fmt: skip
    before, g_decay = _one_step(u) if further else None, _one_step(u) if learnt else None
    if not u.is_meta:
        to = u if g_x is None else g_x
        kernels(u.device.type).lif_backward_(u, g_s, g_v, v, decay, to, before, g_decay, prod(u.shape[1:]), settings)
    return before, g_decay


def _pack(s: Tensor) -> Tensor:
    bits = torch.empty((s.numel() + 7) // 8, dtype=torch.uint8, device=s.device)
    if not s.is_meta:
        kernels(s.device.type).pack(s, bits)
    return bits


def _unpack(bits: Tensor, n: int, dtype: torch.dtype) -> Tensor:
    s = torch.empty(n, dtype=dtype, device=bits.device)
    if not bits.is_meta:
        kernels(bits.device.type).unpack(bits, s)
    return s


for _name, _operator in (("lif_", _lif), ("lif_backward_", _lif_backward), ("pack", _pack), ("unpack", _unpack)):
    for _device in ("CPU", "CUDA", "Meta"):
        _operators.impl(_name, _operator, _device)


# --------------------------------------------------------------------------- under autograd


def _settings(neuron: NeuronSpec, in_space: bool) -> tuple[float, float, int, bool, bool, bool]:
    surrogate = neuron.surrogate
    kind = NUMBERS[surrogate.kind]
    return neuron.threshold, surrogate.alpha, kind, neuron.reset == "hard", not neuron.detach_reset, in_space


def _require(dtype: torch.dtype) -> None:
    if dtype not in TYPES:
        raise UserError(f"{dtype}: the fused kernels run in {', '.join(map(str, TYPES))}; convert, or use backend native")


def _time_major(x: Tensor) -> Tensor:
    """Return ``x`` if its time steps are consecutive and dense in memory, in any order of other dimensions; else a copy."""
    _require(x.dtype)
    if x.numel() == 0:
        return x.contiguous()
    inner = sorted((stride, size) for stride, size in zip(x.stride()[1:], x.shape[1:], strict=True) if size > 1)
    expected = 1
    for stride, size in inner:
        if stride != expected:
            return x.contiguous()
        expected *= size
    return x if x.shape[0] == 1 or x.stride(0) == expected else x.contiguous()


def _as(shape: torch.Size, stride: tuple[int, ...], y: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """Return ``y`` with these strides and this type."""
    if y is None or (y.stride() == stride and y.dtype == dtype):
        return y
    return torch.empty_strided(shape, stride, dtype=dtype, device=y.device).copy_(y)


def _per_neuron(decay: Tensor, x: Tensor) -> Tensor:
    """Return the decays of the neurons of one sample in memory order, or one decay for all."""
    if decay.numel() == 1:
        return decay.detach().reshape(1).to(TYPES[x.dtype])
    like = x[0] if x.shape[0] else x.new_empty(x.shape[1:])
    spread = torch.empty_strided(like.shape, like.stride(), dtype=TYPES[x.dtype], device=x.device)
    return spread.copy_(decay.detach().expand(like.shape)).as_strided((like.numel(),), (1,))


class _FusedLIF(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, v: Tensor | None, decay: Tensor | float, neuron: NeuronSpec, in_space: bool
    ) -> tuple[Tensor, Tensor]:
        potential_type = TYPES[x.dtype]
        learnt = isinstance(decay, Tensor)
        leak = _per_neuron(decay, x) if isinstance(decay, Tensor) else x.new_full((1,), decay, dtype=potential_type)
        v = _as(x.shape[1:], x.stride()[1:], v, potential_type)
        settings = _settings(neuron, in_space)
        u = None if potential_type == x.dtype else torch.empty_like(x, dtype=potential_type)
        s, after = torch.ops.spikecost.lif_(x, u, v, leak, *settings)
        increment_version(x)  # so that autograd detects the in-place change; custom operators do not do this
        ctx.save_for_backward(x if u is None else u, leak, v if learnt else None, decay if learnt else None)
        ctx.settings, ctx.type = settings, x.dtype
        ctx.set_materialize_grads(False)
        if in_space:
            ctx.mark_non_differentiable(after)
        return s, after

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, g_s: Tensor | None, g_v: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        u, leak, v, decay = ctx.saved_tensors
        g_s = _as(u.shape, u.stride(), g_s, ctx.type)
        g_v = _as(u.shape[1:], u.stride()[1:], g_v, u.dtype)
        g_x = None if u.dtype == ctx.type else torch.empty_like(u, dtype=ctx.type)
        before, g_decay = torch.ops.spikecost.lif_backward_(
            u, g_x, g_s, g_v, v, leak, ctx.needs_input_grad[1], ctx.needs_input_grad[2], *ctx.settings
        )
        increment_version(u)
        of_decay = None if g_decay is None else g_decay.sum_to_size(decay.shape).to(decay.dtype)
        return u if g_x is None else g_x, before, of_decay, None, None


def lif_(x: Tensor, v: Tensor | None, neuron: NeuronSpec, decay: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """As ``kernels.lif.lif``: spikes [K, B, ...] and membrane potential [B, ...] of a window of K time steps.

    ``x`` is consumed: it is overwritten by the membrane potentials u, and by the gradient g_x in the backward pass. If another
    function saved ``x``, or the graph is used twice, PyTorch raises its error about a variable modified in place.
    """
    s, after = _FusedLIF.apply(_time_major(x), v, neuron.decay if decay is None else decay, neuron, False)
    return s, after


def lif_in_space_(x: Tensor, v: Tensor | None, neuron: NeuronSpec) -> tuple[Tensor, Tensor]:
    """As ``kernels.lif.lif_in_space``: without gradient through time. ``x`` is consumed."""
    s, after = _FusedLIF.apply(_time_major(x), v, neuron.decay, neuron, True)
    return s, after


def pack(s: Tensor) -> Tensor:
    """As ``kernels.bits.pack``, with spikes in memory order."""
    _require(s.dtype)
    bits: Tensor = torch.ops.spikecost.pack(s)
    return bits


def unpack(bits: Tensor, n: int, dtype: torch.dtype) -> Tensor:
    """Return the ``n`` spikes of ``bits``, in the order in which they were packed."""
    _require(dtype)
    s: Tensor = torch.ops.spikecost.unpack(bits, n, dtype)
    return s
