"""The presynaptic trace of OTTT (Xiao et al. 2022), and a synapse whose weight gradient is computed from it.

    a[t] = decay * a[t-1] + x[t]                       trace of the presynaptic input, a[0] = x[0]
    y[t] = W x[t] + b                                  forward: from the spikes, not from the trace
    dL/dW = sum_t g[t] * a[t]^T,  dL/db = sum_t g[t],  dL/dx[t] = W^T g[t]

The trace is taken at the input of the synapse, after gain and pooling. Both are linear, so it equals the trace of the spikes
passed through them, and it is smaller. As in the paper's public code, only synapses that read spikes have a trace; those that
read an image or a real-valued sum do not.
One convolution forward and one for each of the two gradients: as many multiplications as BPTT.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bench.errors import YES, Support, no
from bench.nets.build import Network
from bench.nets.layers import ConvSynapse, DenseSynapse, State, Synapse, fold
from bench.spec import NetworkSpec


class _TracedConv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, trace: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(trace, weight)
        ctx.stride, ctx.padding = stride, padding
        ctx.bias_sizes = None if bias is None else list(bias.shape)
        return torch.conv2d(x, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, None, None, None]:
        trace, weight = (tensor.to(g.dtype) for tensor in ctx.saved_tensors)  # under autocast g has another type
        wanted = [ctx.needs_input_grad[0], True, ctx.bias_sizes is not None]
        stride, padding = [ctx.stride] * 2, [ctx.padding] * 2
        g_x, g_w, g_b = torch.ops.aten.convolution_backward(
            g, trace, weight, ctx.bias_sizes, stride, padding, [1, 1], False, [0, 0], 1, wanted
        )
        return g_x, g_w, g_b, None, None, None


class _TracedDense(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, trace: Tensor) -> Tensor:
        ctx.save_for_backward(trace, weight)
        ctx.bias = bias is not None
        return torch.nn.functional.linear(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, None]:
        trace, weight = (tensor.to(g.dtype) for tensor in ctx.saved_tensors)
        g_x = g @ weight if ctx.needs_input_grad[0] else None
        return g_x, g.t() @ trace, g.sum(0) if ctx.bias else None, None


class TracedSynapse(nn.Module):
    """A synapse with its presynaptic trace as state. In training mode no gradient passes between time steps of a window."""

    def __init__(self, synapse: Synapse, decay: float) -> None:
        super().__init__()
        self.synapse = synapse
        self.decay = decay

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if not torch.is_grad_enabled():
            return self.synapse(x, state)  # type: ignore[no-any-return]
        traces = traced(x.detach(), state, self.decay)
        weight, folded = self.synapse.weight_now(), traces.flatten(0, 1)
        match self.synapse:
            case ConvSynapse(spec=spec, bias=bias):
                y = fold(x, lambda flat: _TracedConv.apply(flat, weight, bias, folded, spec.stride, spec.padding))
            case DenseSynapse(bias=bias):
                y = fold(x, lambda flat: _TracedDense.apply(flat, weight, bias, folded))
            case _:
                raise TypeError(f"no presynaptic trace is defined for {type(self.synapse).__name__}")
        return y, traces[-1] if len(traces) == 1 else traces[-1].clone()


def traced(x: Tensor, before: Tensor | None, decay: float) -> Tensor:
    """Return the traces a[t] [K, B, ...] of x [K, B, ...]; ``before`` [B, ...] is the trace before the window, or None."""
    if len(x) == 1:
        return x if before is None else (before * decay).add_(x[0])[None]
    a = torch.empty_like(x)
    for t in range(len(x)):
        if before is None:
            a[t].copy_(x[t])
        else:
            torch.mul(before, decay, out=a[t]).add_(x[t])
        before = a[t]
    return a


def traces_apply(spec: NetworkSpec) -> Support:
    """Return whether one decaying trace per input is the whole history of the neurons, as for LIF neurons of a fixed decay."""
    other = spec.beyond_lif
    if other is not None:
        return no(f"OTTT's trace is that of LIF neurons with a fixed decay, and this network has {other.words}; use SLTT or BPTT")
    return YES


def with_traces(net: Network, decay: float) -> Network:
    """Give every synapse of ``net`` that reads spikes a presynaptic trace; changes ``net`` in place and returns it."""
    for parent in list(net.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, Synapse) and child.presynaptic == "spikes":
                setattr(parent, name, TracedSynapse(child, decay))
    return net
