"""The operators of kernels/fused.py for GPUs, in Triton; the equations are those of kernels/lif.py.

A program runs BLOCK neurons through all T time steps with their membrane potentials in registers: each x[t], s[t], u[t] is read
or written once. Products and sums are not fused (enable_fp_fusion=False), so that spikes equal those of the reference exactly.
If TRITON_INTERPRET=1 is set before the import, the same programs run on a CPU, slowly; this is how they are tested without a GPU.
"""

from __future__ import annotations

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024
SIGMOID, TRIANGLE, RECTANGLE, ARCTANGENT = (tl.constexpr(i) for i in range(4))  # as in fused.NUMBERS


@triton.jit
def _forward(
    x, u, v_in, decay, decays, s, v_out, N,
    T: tl.constexpr, THRESHOLD: tl.constexpr, HARD: tl.constexpr, CARRIED: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = i < N
    leak = tl.load(decay + i % decays, mask=inside, other=0)
    v = leak * 0
    if CARRIED:
        v = tl.load(v_in + i, mask=inside, other=0)
    at = i
    for _ in range(T):
        charged = leak * v + tl.load(x + at, mask=inside, other=0).to(leak.dtype)
        fires = charged >= THRESHOLD
        tl.store(s + at, fires.to(tl.float32).to(s.dtype.element_ty), mask=inside)
        tl.store(u + at, charged, mask=inside)
        if HARD:
            v = tl.where(fires, 0, charged)
        else:
            v = tl.where(fires, charged - THRESHOLD, charged)
        at += N
    tl.store(v_out + i, v, mask=inside)


@triton.jit
def _derivative(x, KIND: tl.constexpr, ALPHA: tl.constexpr):
    if KIND == SIGMOID:
        e = tl.exp(-tl.abs(ALPHA * x))
        f = ALPHA * e / ((1 + e) * (1 + e))
    elif KIND == TRIANGLE:
        f = ALPHA * tl.maximum(1 - ALPHA * tl.abs(x), 0)
    elif KIND == RECTANGLE:
        f = tl.where(2 * ALPHA * tl.abs(x) < 1, ALPHA + 0 * x, 0 * x)
    elif KIND == ARCTANGENT:
        y = 1.5707963267948966 * ALPHA * x
        f = ALPHA / 2 / (1 + y * y)
    else:
        y = 1 + ALPHA * tl.abs(x)
        f = 1 / (y * y)
    return f


@triton.jit
def _backward(
    u, g_s, g_v_in, v_in, decay, decays, g_x, g_v_out, g_decay, N, last,
    T: tl.constexpr, THRESHOLD: tl.constexpr, ALPHA: tl.constexpr, KIND: tl.constexpr, HARD: tl.constexpr, ATTACHED: tl.constexpr,
    IN_SPACE: tl.constexpr, SPIKES: tl.constexpr, CARRIED: tl.constexpr, BEFORE: tl.constexpr, FURTHER: tl.constexpr,
    LEARNT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = i < N
    leak = tl.load(decay + i % decays, mask=inside, other=0)
    g_v = leak * 0
    of_decay = leak * 0
    start = leak * 0
    if CARRIED:
        g_v = tl.load(g_v_in + i, mask=inside, other=0)
    if BEFORE:
        start = tl.load(v_in + i, mask=inside, other=0)
    if IN_SPACE:
        g_v = leak * 0
    at = i + last
    charged = tl.load(u + at, mask=inside & (at >= 0), other=0)
    for _ in range(T):
        h = leak * 0
        if SPIKES:
            h = tl.load(g_s + at, mask=inside, other=0).to(leak.dtype)
        if ATTACHED:
            if HARD:
                h -= g_v * charged
            else:
                h -= g_v * THRESHOLD
        g_u = h * _derivative(charged - THRESHOLD, KIND, ALPHA)
        if HARD:
            g_u += tl.where(charged >= THRESHOLD, 0, g_v)
        else:
            g_u += g_v
        tl.store(g_x + at, g_u.to(g_x.dtype.element_ty), mask=inside)
        at -= N
        previous = tl.load(u + at, mask=inside & (at >= 0), other=0)
        if LEARNT:
            if HARD:
                v = tl.where(previous >= THRESHOLD, 0, previous)
            else:
                v = tl.where(previous >= THRESHOLD, previous - THRESHOLD, previous)
            of_decay += g_u * tl.where(at >= 0, v, start)
        charged = previous
        if not IN_SPACE:
            g_v = leak * g_u
    if FURTHER:
        tl.store(g_v_out + i, g_v, mask=inside)
    if LEARNT:
        tl.store(g_decay + i, of_decay, mask=inside)


@triton.jit
def _pack(s, bits, n, bytes_, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    gathered = tl.full([BLOCK], 0, tl.int32)
    for j in tl.static_range(8):
        at = j * bytes_ + i
        fired = tl.load(s + at, mask=(i < bytes_) & (at < n), other=0) != 0
        gathered |= fired.to(tl.int32) << j
    tl.store(bits + i, gathered.to(tl.uint8), mask=i < bytes_)


@triton.jit
def _unpack(bits, s, n, bytes_, BLOCK: tl.constexpr):
    i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    gathered = tl.load(bits + i, mask=i < bytes_, other=0).to(tl.int32)
    for j in tl.static_range(8):
        at = j * bytes_ + i
        tl.store(s + at, ((gathered >> j) & 1).to(tl.float32).to(s.dtype.element_ty), mask=(i < bytes_) & (at < n))


def _grid(n: int) -> tuple[int]:
    return (triton.cdiv(n, BLOCK),)


def lif_(x: Tensor, u: Tensor, v: Tensor | None, decay: Tensor, s: Tensor, after: Tensor, settings: Any) -> None:
    """Fill ``u``, which may be ``x`` itself, ``s`` and ``after``."""
    threshold, _, _, hard, _, _ = settings
    N = after.numel()
    if N:
        _forward[_grid(N)](
            x, u, decay if v is None else v, decay, decay.numel(), s, after, N,
            T=x.shape[0], THRESHOLD=threshold, HARD=hard, CARRIED=v is not None, BLOCK=BLOCK, enable_fp_fusion=False,
        )  # fmt: skip


def lif_backward_(
    u: Tensor, g_s: Tensor | None, g_v: Tensor | None, v: Tensor | None, decay: Tensor, g_x: Tensor,
    before: Tensor | None, g_decay: Tensor | None, neurons: int, settings: Any,
) -> None:  # fmt: skip
    """Fill ``g_x``, which may be ``u`` itself, and ``before`` and ``g_decay`` if given."""
    threshold, alpha, kind, hard, attached, in_space = settings
    if neurons:
        _backward[_grid(neurons)](
            u, u if g_s is None else g_s, u if g_v is None else g_v, u if v is None else v, decay, decay.numel(), g_x,
            u if before is None else before, u if g_decay is None else g_decay, neurons,
            (u.shape[0] - 1) * neurons,
            T=u.shape[0], THRESHOLD=threshold, ALPHA=alpha, KIND=kind, HARD=hard, ATTACHED=attached, IN_SPACE=in_space,
            SPIKES=g_s is not None, CARRIED=g_v is not None, BEFORE=v is not None, FURTHER=before is not None,
            LEARNT=g_decay is not None, BLOCK=BLOCK, enable_fp_fusion=False,
        )  # fmt: skip


def pack(s: Tensor, bits: Tensor) -> None:
    if bits.numel():
        _pack[_grid(bits.numel())](s, bits, s.numel(), bits.numel(), BLOCK=BLOCK)


def unpack(bits: Tensor, s: Tensor) -> None:
    if bits.numel():
        _unpack[_grid(bits.numel())](bits, s, s.numel(), bits.numel(), BLOCK=BLOCK)
