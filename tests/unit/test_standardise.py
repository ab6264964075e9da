"""Weight standardisation in one pass, compared with the expression differentiated by autograd."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from bench.errors import UserError
from bench.kernels import standardise
from bench.kernels.compiled import available
from bench.nets.layers import WS_EPS, standardised

pytestmark = pytest.mark.skipif(not available(), reason=available().reason)

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
SHAPES = [(4, 3, 3, 3), (8, 5, 1, 1), (1, 2, 7, 7), (64, 64, 3, 3), (3, 1, 1, 2)]
LAYOUTS = (torch.contiguous_format, torch.channels_last)
BOUND = {torch.float64: 1e-12, torch.float32: 1e-5}


def drawn(shape: tuple[int, ...], dtype: torch.dtype, device: str, layout: torch.memory_format, seed: int) -> Tensor:
    x = 0.3 + torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return x.to(device, dtype, memory_format=layout)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", BOUND)
@pytest.mark.parametrize("shape", SHAPES)
def test_standardised_equals_the_reference(shape: tuple[int, ...], dtype: torch.dtype, device: str) -> None:
    for of_w, of_g in product(LAYOUTS, LAYOUTS):
        w = drawn(shape, dtype, device, of_w, 1).requires_grad_()
        gain = drawn((shape[0], 1, 1, 1), dtype, device, torch.contiguous_format, 2).requires_grad_()
        g = drawn(shape, dtype, device, of_g, 3)
        mine, theirs = standardise.standardised(w, gain, WS_EPS), standardised(w.double(), gain.double())
        assert mine.stride() == w.stride()
        found, wanted = (torch.autograd.grad(y, (w, gain), g.to(y.dtype)) for y in (mine, theirs))
        for a, b in zip((mine.detach(), *found), (theirs.detach(), *wanted), strict=True):
            assert float((a - b).norm()) <= BOUND[dtype] * float(b.norm())


def test_standardised_passes_gradcheck() -> None:
    w = drawn((3, 2, 3, 3), torch.float64, "cpu", torch.channels_last, 4).requires_grad_()
    gain = drawn((3, 1, 1, 1), torch.float64, "cpu", torch.contiguous_format, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda w, gain: standardise.standardised(w, gain, WS_EPS), (w, gain))


def test_standardised_is_finite_for_equal_weights() -> None:
    w = torch.full((2, 3, 3, 3), 0.5, requires_grad=True)
    y = standardise.standardised(w, torch.ones(2, 1, 1, 1), WS_EPS)
    y.sum().backward()
    assert not y.any()
    assert w.grad is not None
    assert torch.isfinite(w.grad).all()


def test_standardised_computes_bfloat16_in_single_precision() -> None:
    w = drawn((4, 3, 3, 3), torch.bfloat16, "cpu", torch.contiguous_format, 6).requires_grad_()
    gain = drawn((4, 1, 1, 1), torch.bfloat16, "cpu", torch.contiguous_format, 7).requires_grad_()
    y = standardise.standardised(w, gain, WS_EPS)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, standardise.standardised(w.float(), gain.float(), WS_EPS).bfloat16())
    y.sum().backward()
    assert w.grad is not None
    assert w.grad.dtype == torch.bfloat16


def test_standardised_rejects_other_types() -> None:
    with pytest.raises(UserError, match=r"float16: the fused kernels run in .*; convert, or use backend native"):
        standardise.standardised(torch.ones(1, 1, 3, 3, dtype=torch.float16), torch.ones(1, 1, 1, 1), WS_EPS)
