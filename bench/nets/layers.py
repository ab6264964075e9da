"""The layers of a network as modules with explicit state: ``forward(x[K, B, ...], state) -> (y[K, B, ...], state)``.

A state is a tensor, None (zero, or no state), or a list of states. It is consumed: a layer removes its entry from the list and
puts the new one in its place, so that old and new state are not alive at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from bench.spec import Conv, Dense, NeuronSpec, ShortcutOf

State = Any  # Tensor | None | list[State]; type checkers cannot follow the recursion through nn.Module
Presynaptic = Literal["spikes", "analog"]

LECUN_STD = 0.87962566103423978  # standard deviation of a standard normal that is cut off at +-2
WS_EPS = 1e-4  # sWS: keeps the square root away from zero (OTTT, public code)


def fold(x: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function of [N, ...] to x [K, B, ...], with time folded into the batch (N = K B)."""
    y: Tensor = f(x.flatten(0, 1)).unflatten(0, x.shape[:2])
    return y


def map_state(f: Callable[[Tensor], Tensor], state: State) -> State:
    if isinstance(state, list):
        return [map_state(f, entry) for entry in state]
    return None if state is None else f(state)


def state_tensors(state: State) -> Iterator[Tensor]:
    if isinstance(state, list):
        for entry in state:
            yield from state_tensors(entry)
    elif state is not None:
        yield state


def leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(tensor.is_floating_point())


def shallow(state: State) -> State:
    """Return the same tensors in new lists: a network consumes the lists it is given."""
    return map_state(lambda tensor: tensor, state)


def leaves(state: State) -> State:
    """Return the state as leaf tensors, so that back-propagation stops there and dL/d(state) is in ``.grad``."""
    return map_state(leaf, state)


def aligned(net: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """Return (kind, parameter), kind "weight", "gain" or "bias", in an order that is the same for every implementation."""
    found = ((name, getattr(module, name, None)) for module in net.modules() for name in ("weight", "gain", "bias"))
    return [(name, parameter) for name, parameter in found if isinstance(parameter, nn.Parameter)]


class Synapse(nn.Module):
    """Weights between two layers. ``presynaptic``: whether its input is a linear function of spikes."""

    def __init__(self, presynaptic: Presynaptic) -> None:
        super().__init__()
        self.presynaptic = presynaptic
        self.bias: nn.Parameter | None = None
        self.held: Tensor | None = None  # cached effective weight (see ``holding_weights``)

    def effective_weight(self) -> Tensor:
        raise TypeError(f"{type(self).__name__} has no weight")

    def plain(self) -> bool:
        """Whether the effective weight is the weight itself."""
        return True

    def transmit(self, x: Tensor, weight: Tensor) -> Tensor:
        """[N, in...] -> [N, out...] with the given effective weight."""
        raise TypeError(f"{type(self).__name__} has no weight")

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        weight = self.weight_now()
        return fold(x, lambda flat: self.transmit(flat, weight)), state

    def weight_now(self) -> Tensor:
        return self.effective_weight() if self.held is None else self.held


@contextmanager
def holding_weights(net: nn.Module) -> Iterator[None]:
    """In this context, compute each effective weight once, and back-propagate through it once, at the end.

    Weights must not change inside. Exact, because the backward pass of standardisation is linear in the gradient, so that
    gradients of several time steps can be summed first. Weights that an outer context holds are left to it.
    """
    synapses = [s for s in net.modules() if isinstance(s, Synapse) and not s.plain() and s.held is None]
    weights = [synapse.effective_weight() for synapse in synapses]
    for synapse, weight in zip(synapses, weights, strict=True):
        synapse.held = weight.detach().requires_grad_(weight.requires_grad)
    try:
        yield
        for synapse in synapses:
            weight, held, synapse.held = weights.pop(0), synapse.held, None
            if held is not None and held.grad is not None:
                weight.backward(held.grad)
    finally:
        for synapse in synapses:
            synapse.held = None


def standardised(weight: Tensor, gain: Tensor) -> Tensor:
    """Scaled weight standardisation: the effective weight of output channel i, from its N fan-in weights, is

    gain_i * (W_i - mean_i) / sqrt(var_i * N + 1e-4),  var unbiased  (OTTT, section on normalisation; public code).
    """
    var, mean = torch.var_mean(weight, dim=(1, 2, 3), keepdim=True)
    return (weight - mean) * (gain * torch.rsqrt(var * weight[0].numel() + WS_EPS))


class ConvSynapse(Synapse):
    """Convolution, with sWS if the spec is ``standardised``."""

    def __init__(self, spec: Conv, channels_in: int, presynaptic: Presynaptic) -> None:
        super().__init__(presynaptic)
        self.spec = spec
        self.convolve: Callable[..., Tensor] = F.conv2d
        self.standardise: Callable[[Tensor, Tensor], Tensor] = standardised
        self.factor = 1.0  # of the effective weight: the constant factor of its input (nets/folding.py)
        self.weight = nn.Parameter(torch.empty(spec.channels, channels_in, spec.kernel, spec.kernel))
        self.gain = nn.Parameter(torch.empty(spec.channels, 1, 1, 1)) if spec.standardised else None
        self.bias = nn.Parameter(torch.empty(spec.channels)) if spec.bias else None

    def reset_parameters(self, generator: torch.Generator) -> None:
        if self.spec.init == "zero":
            nn.init.zeros_(self.weight)
        else:
            drawn = torch.empty_like(self.weight, memory_format=torch.contiguous_format)  # drawing order is independent of layout
            nn.init.kaiming_normal_(drawn, mode="fan_out", nonlinearity="relu", generator=generator)
            self.weight.data.copy_(drawn)
        if self.gain is not None:
            nn.init.ones_(self.gain)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def effective_weight(self) -> Tensor:
        if self.gain is None:
            return self.weight if self.factor == 1 else self.weight * self.factor
        return self.standardise(self.weight, self.gain if self.factor == 1 else self.gain * self.factor)

    def plain(self) -> bool:
        return self.gain is None and self.factor == 1

    def transmit(self, x: Tensor, weight: Tensor) -> Tensor:
        return self.convolve(x, weight, self.bias, self.spec.stride, self.spec.padding)


class DenseSynapse(Synapse):
    """Fully connected: y = W x + b."""

    def __init__(self, spec: Dense, features_in: int, presynaptic: Presynaptic) -> None:
        super().__init__(presynaptic)
        self.spec = spec
        self.weight = nn.Parameter(torch.empty(spec.features, features_in))
        self.bias = nn.Parameter(torch.empty(spec.features)) if spec.bias else None

    def reset_parameters(self, generator: torch.Generator) -> None:
        bound = self.weight.shape[1] ** -0.5
        match self.spec.init:
            case "zero":
                nn.init.zeros_(self.weight)
            case "normal_0.01":
                nn.init.normal_(self.weight, 0.0, 0.01, generator=generator)
            case "default" | "default, zero bias":
                nn.init.uniform_(self.weight, -bound, bound, generator=generator)
            case "lecun":  # variance 1 / fan-in after truncation, as Flax's default
                std = bound / LECUN_STD
                nn.init.trunc_normal_(self.weight, 0.0, std, -2 * std, 2 * std, generator=generator)
        if self.bias is not None:
            if self.spec.init == "default":
                nn.init.uniform_(self.bias, -bound, bound, generator=generator)
            else:
                nn.init.zeros_(self.bias)

    def effective_weight(self) -> Tensor:
        return self.weight

    def transmit(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.linear(x, weight, self.bias)


class Neurons(nn.Module):
    """A backend's neurons with dropout; one mask for all time steps of a sample. State: [v, mask]."""

    emits_spikes = True

    def __init__(self, neurons: nn.Module, spec: NeuronSpec, dropout: float) -> None:
        super().__init__()
        self.neurons = neurons
        self.spec = spec
        self.dropout = dropout

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        v, mask = state or (None, None)
        del state
        s, v = self.neurons(x, v)
        if self.training and self.dropout > 0:
            if mask is None:
                mask = torch.empty_like(s[0]).bernoulli_(1 - self.dropout).div_(1 - self.dropout)
            s = s * mask.detach()  # a mask from a checkpointed state must not get a gradient
        return s, [v, mask]


class Scaled(nn.Module):
    """y = factor * x."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return x if self.factor == 1 else x * self.factor, state


class Weightless(nn.Module):
    """A linear function without weights, such as average pooling or reshaping; time is folded into the batch."""

    def __init__(self, f: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.f = f

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return fold(x, self.f), state


class AvgPool(Weightless):
    """2-D average pooling."""

    def __init__(self, kernel: int, stride: int, padding: int) -> None:
        super().__init__(partial(F.avg_pool2d, kernel_size=kernel, stride=stride, padding=padding))
        self.kernel = kernel
        self.disjoint = stride == kernel and not padding  # whether windows do not overlap


class Rectified(nn.Module):
    """max(0, x)."""

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return torch.relu(x), state


class StepwiseBatchNorm(nn.BatchNorm2d):
    """Batch normalisation with statistics per time step; running statistics are updated at every step."""

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:  # type: ignore[override]
        if x.shape[0] == 1 or not self.training:
            return fold(x, super().forward), state
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(x.shape[0])
        return _EachStep.apply(x, self.weight, self.bias, self.running_mean, self.running_var, self.momentum, self.eps), state


class _EachStep(torch.autograd.Function):
    """Normalises every step directly into one output tensor, which saves the copy that stacking would make."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, var: Tensor, momentum: float, eps: float
    ) -> Tensor:
        y = torch.empty_like(x)
        means, scales = (weight.new_empty(x.shape[0], x.shape[2]) for _ in range(2))  # float32 also under autocast
        for t in range(x.shape[0]):
            torch.ops.aten.native_batch_norm.out(
                x[t], weight, bias, mean, var, True, momentum, eps, out=y[t], save_mean=means[t], save_invstd=scales[t]
            )
        ctx.save_for_backward(x, weight, means, scales)
        ctx.eps = eps
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, means, scales = ctx.saved_tensors
        g_x, g_weight, g_bias = torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(weight)
        one_weight, one_bias = torch.empty_like(weight), torch.empty_like(weight)
        for t in range(x.shape[0]):
            torch.ops.aten.native_batch_norm_backward.out(
                g[t], x[t], weight, None, None, means[t], scales[t], True, ctx.eps, [True] * 3,
                out0=g_x[t], out1=one_weight, out2=one_bias,
            )  # fmt: skip
            g_weight += one_weight
            g_bias += one_bias
        return g_x, g_weight, g_bias, None, None, None, None


class LearnableGain(nn.Module):
    """y = factor * gain * x with a learnable scalar gain."""

    def __init__(self, factor: float, init: float) -> None:
        super().__init__()
        self.factor, self.init = factor, init
        self.gain = nn.Parameter(torch.empty(()))

    def reset_parameters(self, generator: torch.Generator) -> None:
        nn.init.constant_(self.gain, self.init)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return x * (self.gain * self.factor), state


class Chain(nn.Module):
    """A sequence of layers. State: a list with one entry per layer."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        states = state if state is not None else [None] * len(self.layers)
        for i, layer in enumerate(self.layers):
            entry, states[i] = states[i], None
            x, states[i] = layer(x, entry)
        return x, states

    def last(self, x: Tensor, state: State) -> Tensor:
        """As ``forward``, without the state after it: each layer's is freed as soon as the layer has run."""
        states = state if state is not None else [None] * len(self.layers)
        for i, layer in enumerate(self.layers):
            entry, states[i] = states[i], None
            x = layer(x, entry)[0]
        return x


class ResidualBlock(nn.Module):
    """a = pre(x);  y = body(a) + shortcut(x or a); no shortcut means the identity; ``shortcut_of``: which of x and a it reads."""

    def __init__(self, pre: Chain, body: Chain, shortcut: Chain | None, shortcut_of: ShortcutOf) -> None:
        super().__init__()
        self.pre, self.body, self.shortcut = pre, body, shortcut
        self.shortcut_of = shortcut_of

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        pre, body, shortcut = state or (None, None, None)
        del state
        a, pre = self.pre(x, pre)
        if self.shortcut_of == "activated":
            x = a
        if self.shortcut is not None:
            x, shortcut = self.shortcut(x, shortcut)
        y, body = self.body(a, body)
        return y + x, [pre, body, shortcut]


class FeedbackLoop(nn.Module):
    """y[t] = body(entry(x[t]) + feedback(upsample(y[t-1]))), without feedback at t = 0. Runs step by step."""

    def __init__(self, entry: Chain, body: Chain, feedback: Chain, upsample: int) -> None:
        super().__init__()
        self.entry, self.body, self.feedback = entry, body, feedback
        self.upsample = upsample

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        entry, body, feedback, y = state or (None, None, None, None)
        del state
        ys = []
        for t in range(x.shape[0]):
            current, entry = self.entry(x[t : t + 1], entry)
            if y is not None:
                source = y if self.upsample == 1 else fold(y, self._enlarge)
                back, feedback = self.feedback(source, feedback)
                current = current + back
            y, body = self.body(current, body)
            ys.append(y)
        return (ys[0] if len(ys) == 1 else torch.cat(ys)), [entry, body, feedback, y]

    def _enlarge(self, y: Tensor) -> Tensor:
        return F.interpolate(y, scale_factor=float(self.upsample), mode="nearest")


def leak(module: nn.Module, state: State, steps: int) -> State:
    """Return the state after ``steps`` time steps without input and spikes: v * decay^steps; everything else is unchanged."""
    if state is None or steps == 0:
        return state
    parts: list[nn.Module | None] = []
    match module:
        case Neurons():
            v, mask = state
            return [v * module.spec.decay**steps, mask]
        case Chain():
            parts = list(module.layers)
        case ResidualBlock():
            parts = [module.pre, module.body, module.shortcut]
        case FeedbackLoop():
            parts = [module.entry, module.body, module.feedback, None]  # the last is y, which does not change
    if not parts:
        return state
    return [entry if part is None else leak(part, entry, steps) for part, entry in zip(parts, state, strict=True)]
