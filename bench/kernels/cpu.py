"""The operators of fused.py, pool.py and standardise.py on a CPU: calls to the compiled cpu.cpp."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from bench.kernels.compiled import library


class _Neuron(ctypes.Structure):
    _fields_ = [
        ("threshold", ctypes.c_double),
        ("alpha", ctypes.c_double),
        ("surrogate", ctypes.c_int),
        ("hard", ctypes.c_int),
        ("attached", ctypes.c_int),
        ("in_space", ctypes.c_int),
    ]  # fmt: skip


def lif_(x: Tensor, u: Tensor, v: Tensor | None, decay: Tensor, s: Tensor, after: Tensor, settings: Any) -> None:
    """Fill ``u``, which may be ``x`` itself, ``s`` and ``after``."""
    _call("lif_forward", x.dtype, _Neuron(*settings), x, v, decay, decay.numel(), s, u, after, x.shape[0], after.numel())


def lif_backward_(
    u: Tensor, g_s: Tensor | None, g_v: Tensor | None, v: Tensor | None, decay: Tensor, g_x: Tensor,
    before: Tensor | None, g_decay: Tensor | None, neurons: int, settings: Any,
) -> None:  # fmt: skip
    """Fill ``g_x``, which may be ``u`` itself, and ``before`` and ``g_decay`` if given."""
    given = (u, g_s, g_v, v, decay, decay.numel(), g_x, before, g_decay, u.shape[0], neurons)
    _call("lif_backward", g_x.dtype, _Neuron(*settings), *given)


def pool_backward(g: Tensor, g_x: Tensor, k: int) -> None:
    """Fill ``g_x`` [N, C, H, W] from ``g``, both contiguous or both channels-last."""
    n, channels, height, width = g_x.shape
    if g_x.is_contiguous():  # treated as N C images of one channel
        n, channels = n * channels, 1
    _call("pool_backward", g.dtype, g, g_x, n, channels, height, width, k)


def standardise(weight: Tensor, factor: Tensor, eps: float, out: Tensor, mean: Tensor, scale: Tensor) -> None:
    """Fill ``out`` [O, N], ``mean`` and ``scale`` [O]."""
    _call("standardise", weight.dtype, weight, factor, out, mean, scale, *weight.shape, eps)


def standardise_backward(
    g: Tensor, weight: Tensor, factor: Tensor, mean: Tensor, scale: Tensor, g_weight: Tensor, g_factor: Tensor
) -> None:
    """Fill ``g_weight`` [O, N] and ``g_factor`` [O]."""
    _call("standardise_backward", weight.dtype, g, weight, factor, mean, scale, g_weight, g_factor, *weight.shape)


def pack(s: Tensor, bits: Tensor) -> None:
    _call("pack", s.dtype, s, bits, s.numel())


def unpack(bits: Tensor, s: Tensor) -> None:
    _call("unpack", s.dtype, bits, s, s.numel())


def _call(kernel: str, dtype: torch.dtype, *arguments: Any) -> None:
    passed: list[Any] = []
    for argument in arguments:
        if isinstance(argument, Tensor):
            passed.append(ctypes.c_void_p(argument.data_ptr()))
        elif isinstance(argument, _Neuron):
            passed.append(ctypes.byref(argument))
        elif isinstance(argument, float):
            passed.append(ctypes.c_double(argument))
        else:
            passed.append(argument if argument is None else ctypes.c_long(argument))
    getattr(library(), f"{kernel}_{str(dtype).removeprefix('torch.')}")(*passed, ctypes.c_int(torch.get_num_threads()))
