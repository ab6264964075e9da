"""Spikes packed at one bit each."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from bench.errors import UserError
from bench.kernels import bits, fused
from bench.kernels.bit_conv import bit_conv
from tests.kernels.implementations import TYPES, On


@pytest.mark.parametrize("dtype", TYPES)
def test_pack_equals_the_reference_and_unpack_inverts_it(on: On, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(2)
    for n in (*range(0, 101, 1 if on.examples > 100 else 5), 4097, 8191, 10_001):
        s = (torch.rand(n, generator=generator) < 0.4).to(on.device, dtype)
        packed = fused.pack(s)
        assert torch.equal(packed, bits.pack(s)), n
        assert torch.equal(fused.unpack(packed, n, dtype), s), n


def test_pack_uses_memory_order(on: On) -> None:
    s = (torch.rand(2, 3, 5, 7, generator=torch.Generator().manual_seed(3)) < 0.4).float().to(on.device)
    last = s.to(memory_format=torch.channels_last)
    back = fused.unpack(fused.pack(last), last.numel(), last.dtype)
    assert torch.equal(back.as_strided(last.shape, last.stride()), s)


@pytest.mark.parametrize("dtype", [torch.float16, torch.uint8])
def test_pack_rejects_other_types(on: On, dtype: torch.dtype) -> None:
    for call in (
        lambda: fused.pack(torch.ones(9, dtype=dtype)),
        lambda: fused.unpack(torch.ones(2, dtype=torch.uint8), 9, dtype),
    ):
        with pytest.raises(UserError, match=rf"{dtype}: .*torch.float32, torch.float64, torch.bfloat16"):
            call()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("stride", "padding", "biased"), [(1, 1, True), (2, 0, False)])
def test_bit_conv_equals_conv2d(on: On, layout: torch.memory_format, stride: int, padding: int, biased: bool) -> None:
    generator = torch.Generator().manual_seed(4)
    s = (torch.rand(3, 2, 9, 7, generator=generator) < 0.4).double().to(on.device, memory_format=layout).requires_grad_()
    weight = torch.randn(4, 2, 3, 3, generator=generator, dtype=torch.float64).to(on.device).requires_grad_()
    bias = torch.randn(4, generator=generator, dtype=torch.float64).to(on.device).requires_grad_() if biased else None
    leaves = [leaf for leaf in (s, weight, bias) if leaf is not None]
    plain, mine = F.conv2d(s, weight, bias, stride, padding), bit_conv(s, weight, bias, stride, padding)
    assert torch.equal(mine, plain)
    g = torch.randn(plain.shape, generator=generator, dtype=torch.float64).to(on.device)
    for one, other in zip(torch.autograd.grad(mine, leaves, g), torch.autograd.grad(plain, leaves, g), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)
