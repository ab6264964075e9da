"""A convolution without storage gives its output the layout that a real one does: channels innermost where an input has them so.

PyTorch's own function for device 'meta' always answers with channels outermost, and what follows would copy gradients from one
layout to the other that lie alike on a real device: bytes would be counted that are never there. Importing this replaces it.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor
from torch._meta_registrations import calc_conv_nd_return_shape


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: list[int], padding: list[int], dilation: list[int],
    transposed: bool, output_padding: list[int], groups: int,
) -> Tensor:  # fmt: skip
    shape = calc_conv_nd_return_shape(
        x, weight, stride, padding, dilation, transposed, groups, output_padding if transposed else None
    )
    innermost = any(map(_channels_innermost, (x, weight)))
    layout = torch.channels_last if innermost else torch.contiguous_format
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)


def _channels_innermost(x: Tensor) -> bool:
    return x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


_replaced = torch.library.Library("aten", "IMPL")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # that it overrides is the purpose
    _replaced.impl("convolution", convolution, "Meta", allow_override=True)
