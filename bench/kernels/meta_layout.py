"""Gives the output of a convolution on device 'meta' the layout of a real one: channels-last if an input is channels-last.

PyTorch's own function for device 'meta' always returns contiguous outputs. Later operators would then copy gradients between
layouts, which they do not on a real device, and bytes would be counted that never exist. Importing this module replaces it.
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
    channels_last = any(map(_is_channels_last, (x, weight)))
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=layout)


def _is_channels_last(x: Tensor) -> bool:
    return x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


_replaced = torch.library.Library("aten", "IMPL")
with warnings.catch_warnings():
    warnings.simplefilter("ignore", UserWarning)  # overriding is intended
    _replaced.impl("convolution", convolution, "Meta", allow_override=True)
