"""Average pooling that saves nothing for backward, compared with PyTorch's."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.kernels.compiled import available
from bench.kernels.pool import avg_pool

pytestmark = pytest.mark.skipif(not available(), reason=available().reason)

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
# [N, C, H, W] and k: exact windows, remaining rows and columns, one channel, one window, empty.
CASES = [((3, 5, 8, 8), 2), ((2, 7, 9, 11), 2), ((2, 1, 7, 7), 3), ((1, 4, 5, 6), 1), ((2, 3, 3, 3), 3), ((0, 4, 4, 4), 2)]
LAYOUTS = (torch.contiguous_format, torch.channels_last)
# Tolerance: a product with 1 / k^2 instead of a quotient; bfloat16 rounds at 2^-9.
BOUND = {torch.float64: 1e-15, torch.float32: 1e-6, torch.bfloat16: 2**-8}


def gradient(f: Any, x: Tensor, g: Tensor) -> Tensor:
    x = x.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(f(x), x, g)
    return found


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", BOUND)
@pytest.mark.parametrize(("shape", "k"), CASES)
def test_avg_pool_equals_pytorch(shape: tuple[int, ...], k: int, dtype: torch.dtype, device: str) -> None:
    generator = torch.Generator().manual_seed(5)
    for of_x, of_g in product(LAYOUTS, LAYOUTS):
        x = torch.randn(shape, generator=generator).to(device, dtype, memory_format=of_x)
        y = F.avg_pool2d(x, k)
        assert torch.equal(avg_pool(x, k), y)
        g = torch.randn(y.shape, generator=generator).to(device, dtype, memory_format=of_g)
        # New memory is rarely zero, so pixels in no window must be written.
        mine, theirs = gradient(lambda x: avg_pool(x, k), x, g), gradient(lambda x: F.avg_pool2d(x, k), x, g)
        torch.testing.assert_close(mine, theirs, rtol=BOUND[dtype], atol=0)
        h, w = (n // k * k for n in shape[2:])
        assert not mine[:, :, h:].any()
        assert not mine[:, :, :, w:].any()


def test_avg_pool_gradient_has_the_same_layout_on_meta() -> None:
    for layout in LAYOUTS:
        g = torch.randn(2, 3, 4, 4).contiguous(memory_format=layout)
        real, without = (torch.ops.spikecost.avg_pool_backward(g.to(device), 2, 9, 8) for device in ("cpu", "meta"))
        assert (real.shape, real.stride(), real.dtype) == (without.shape, without.stride(), without.dtype)


def test_avg_pool_saves_nothing_for_backward() -> None:
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        avg_pool(torch.randn(2, 3, 4, 4, requires_grad=True), 2)
    assert not kept
