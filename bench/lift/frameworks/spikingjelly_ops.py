"""SpikingJelly's neurons on CPU tensors as on a GPU: one operator forward and one backward for a layer and call.

On a CPU the framework runs a chain of plain operators in place of its fused one, which has other storages. Device 'meta' takes
the path of a GPU by itself. The operators registered here are the framework's own CPU kernels under its own rule of
differentiation.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

PACKAGES = ("if_", "lif", "plif", "qif", "eif", "izhikevich", "clif", "ilif")  # of spikingjelly._ops


@cache
def fused(package: str) -> object:
    """Return the fused operator of a kind of neurons for CPU tensors; None if this version of SpikingJelly has none."""
    try:
        ops = importlib.import_module(f"spikingjelly._ops.{package}")
        cpu, rule = (importlib.import_module(f"spikingjelly._ops.{package}.{part}") for part in ("cpu", "autograd"))
        namespace = f"spikecost_sj_{package.strip('_')}"
        for direction in ("forward", "backward"):
            kernel = getattr(cpu, f"_{direction}_impl")
            torch.library.custom_op(f"{namespace}::{direction}", kernel, mutates_args=(), device_types="cpu")
        rule._register_ops(f"{namespace}::forward", f"{namespace}::backward")
        return getattr(torch.ops, namespace).forward.default if hasattr(ops, "_forward") else None
    except (ImportError, AttributeError):
        return None


@contextmanager
def as_on_a_gpu() -> Iterator[None]:
    """In this context, SpikingJelly's neurons run as one operator per layer, as on a GPU."""
    former = {}
    for package in PACKAGES:
        if fused(package) is not None:
            ops = importlib.import_module(f"spikingjelly._ops.{package}")
            former[ops] = ops._forward
            ops._forward = fused(package)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for ops, forward in former.items():
            ops._forward = forward  # type: ignore[attr-defined]
