"""The fused kernels as operators: effects on their input, other types, PyTorch's own checks."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from bench.errors import UserError
from bench.kernels import fused
from bench.kernels import lif as reference
from bench.spec import NeuronSpec
from tests.kernels.implementations import TYPES, Kernel, On

CONSUMED = "modified by an inplace operation"


def current(on: On, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Return a leaf tensor and an input current computed from it."""
    leaf = (torch.randn(4, 3, 7, generator=torch.Generator().manual_seed(0)) + 0.5).to(on.device, dtype).requires_grad_()
    return leaf, leaf * 1


@pytest.mark.parametrize("dtype", TYPES[:2])
def test_fused_overwrites_its_input_with_the_potentials(on: On, dtype: torch.dtype) -> None:
    leaf, x = current(on, dtype)
    u, _, _ = reference.run(leaf.detach(), None, 0.5, NeuronSpec())
    s, _ = fused.lif_(x, None, NeuronSpec())
    assert torch.equal(x, u)
    (g,) = torch.autograd.grad(s.sum(), x)
    assert torch.equal(x, g)  # the gradient then overwrites them


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kernel", [fused.lif_, fused.lif_in_space_])
def test_fused_raises_an_error_if_another_function_saved_its_input(on: On, kernel: Kernel, dtype: torch.dtype) -> None:
    _, x = current(on, dtype)
    needs_x = (x * x).sum()
    s, _ = kernel(x, None, NeuronSpec())
    with pytest.raises(RuntimeError, match=CONSUMED):
        (s.sum() + needs_x).backward()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("kernel", [fused.lif_, fused.lif_in_space_])
def test_fused_raises_an_error_in_a_second_backward_pass(on: On, kernel: Kernel, dtype: torch.dtype) -> None:
    leaf, x = current(on, dtype)
    loss = kernel(x, None, NeuronSpec())[0].sum()
    torch.autograd.grad(loss, leaf, retain_graph=True)
    with pytest.raises(RuntimeError, match=CONSUMED):
        torch.autograd.grad(loss, leaf)


@pytest.mark.parametrize("kernel", [fused.lif_, fused.lif_in_space_])
@pytest.mark.parametrize("dtype", [torch.float16, torch.int64])
def test_fused_rejects_other_types_and_names_the_supported_ones(on: On, kernel: Kernel, dtype: torch.dtype) -> None:
    with pytest.raises(UserError, match=rf"{dtype}: .*torch.float32, torch.float64, torch.bfloat16"):
        kernel(torch.ones(2, 3, 4, dtype=dtype, device=on.device), None, NeuronSpec())


@pytest.mark.parametrize("dtype", TYPES)
def test_operators_pass_opcheck(on: On, dtype: torch.dtype) -> None:
    """All written arguments are declared as mutable, and results on device 'meta' have the same shapes, strides and types."""
    x = torch.randn(4, 3, 2, 5, device=on.device).to(dtype)
    kept = fused.TYPES[dtype]
    u = None if kept == dtype else torch.zeros_like(x, dtype=kept)  # also the potentials that the backward pass reads
    decay, back = torch.tensor([0.5], dtype=kept, device=on.device), torch.randn(3, 2, 5, device=on.device).to(kept)
    rest = (1.0, 4.0, 0, False, True, False)
    operators = torch.ops.spikecost
    calls: list[tuple[Any, tuple[Any, ...]]] = [
        (operators.lif_.default, (x, u, None, decay, *rest)),
        (operators.lif_.default, (x.transpose(2, 3), u if u is None else u.transpose(2, 3), back.transpose(1, 2), decay, *rest)),
        (operators.pack.default, (x,)),
        (operators.unpack.default, (torch.arange(5, dtype=torch.uint8, device=on.device), 33, dtype)),
    ]
    if u is None:
        calls.append((operators.lif_backward_.default, (x, None, x.clone(), back, back.clone(), decay, True, True, *rest)))
    else:
        g_s = x.clone()
        calls.append((operators.lif_backward_.default, (u, x, g_s, back, back.clone(), decay, True, True, *rest)))
    for operator, arguments in calls:
        found = torch.library.opcheck(operator, arguments, test_utils=("test_schema", "test_faketensor"))
        assert set(found.values()) == {"SUCCESS"}
