"""snnTorch's shipped truncated BPTT, ``snntorch.backprop.TBPTT``, on a Sequential as in its tutorials.

The settings are the closest it has to a NetworkSpec. Differences from ``tbptt`` with ``update = "window"``:

- A neuron fires at u > threshold, and the reset is subtracted from the next step's potential after the decay:
  u[t] = beta u[t-1] + x[t] - threshold s[t-1]. For decay = 1, and for a hard reset, this is NetworkSpec's neuron except at
  equality.
- Dropout is ``nn.Dropout``: a new mask at every step; NetworkSpec uses one mask for the sequence.
- The last layer must be neurons; here they have no leak, spike or reset, so that their potential is the synapse's output.
- Its surrogate ``triangular`` is not a triangle (+threshold below, -threshold at and above the threshold, everywhere), so the
  triangle is passed as ``custom_surrogate``, which also saves the spikes for backward. Its ``sigmoid`` is correct, but overflows
  to NaN for slope * (u - threshold) < -88 in float32.

Every K steps, and after the remaining steps, its TBPTT calls ``zero_grad``, ``backward`` and ``step``, and detaches every
membrane potential that any Leaky of this process holds (``SpikingNeuron.instances``, which keeps all of them alive; here it is
set to those of the network). The loss of a window is the criterion over its K steps; the returned value keeps the graphs of all
windows, without their tensors. It recognises the criterion by ``__name__``; an unknown name is an UnboundLocalError. For data
that vary in time (``time_var=True``) a number K is an UnboundLocalError too, so here a first layer supplies the time steps of
what TBPTT takes for one static input. tests/unit/test_snntorch_shipped.py tests all of this. snnTorch's authors call the module
deprecated and recommend writing the loop by hand.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import snntorch
import torch
from snntorch import surrogate
from torch import Tensor, nn

from bench.algorithms.context import StepContext
from bench.backends.initial_weights import INITS, draw_weights, fan_in
from bench.backends.shipped_parts import ScaledBy, UpdateAsOptimizer
from bench.backends.snntorch import Leaky
from bench.contracts import TrainStep
from bench.errors import YES, Support, no
from bench.kernels.surrogate import derivative_
from bench.options import Declared, one_of, whole, within
from bench.spec import (
    AdaptiveAvgPool,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    NetworkSpec,
    Neuron,
    NeuronSpec,
    Scale,
    Spike,
    Surrogate,
    lif_of,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # deprecated by its authors; measured here all the same
    from snntorch.backprop import TBPTT

name = "snntorch-shipped"
layerwise = False


@dataclass(frozen=True)
class Options(Declared):
    K: int = whole(2, least=1, meaning="time steps of a window; weights are updated after each")  # snnTorch's own default is 1
    init: str = one_of("native", INITS, meaning="source of the initial weights")

    def suits(self, spec: NetworkSpec, T: int) -> None:
        within(self.K, T, name)

    @property
    def updates_once(self) -> bool:
        return False


def kernel() -> str:
    return "snntorch.backprop.TBPTT"


def ships(spec: NetworkSpec, algorithm: str) -> Support:
    if algorithm != "tbptt":
        return no(f"snnTorch ships truncated BPTT (tbptt); it has no {algorithm}")
    for part in spec.layers:
        if not isinstance(part, (Conv, Dense, BatchNorm, Spike, Scale, AvgPool, AdaptiveAvgPool, Flatten)):
            return no(f"snnTorch's TBPTT supports plain chains of layers only: it has no {type(part).__name__}")
        if isinstance(part, Conv) and part.standardised:
            return no("snnTorch has no convolution with standardised weights")
        if isinstance(part, Spike) and not (supported := has(part.neuron)):
            return supported
    return YES


def has(spec: Neuron) -> Support:
    if not isinstance(spec, NeuronSpec):
        return no(f"its networks are built of snnTorch's Leaky, and this network has {spec.words}; use backend snntorch")
    if not spec.detach_reset:
        return no("snnTorch's reset is always detached, but the neurons of this network pass the gradient through it")
    return YES


class Frames(nn.Module):
    """Returns the next time step of x [T, B, ...] at each call."""

    def __init__(self) -> None:
        super().__init__()
        self.t = 0

    def forward(self, x: Tensor) -> Tensor:
        self.t += 1
        return x[self.t - 1]


class Shipped(nn.Sequential):
    """snnTorch's network for a NetworkSpec. A call runs one time step and returns (spikes, potentials) of the readout."""

    def __init__(self, spec: NetworkSpec, init: str = "native") -> None:
        layers: list[nn.Module] = [Frames()]
        inputs, channels = fan_in(spec), spec.input[0]
        for part in spec.layers:
            match part:
                case Conv(out, kernel, stride, padding, bias):
                    layers.append(nn.Conv2d(next(inputs), out, kernel, stride, padding, bias=bias))
                    channels = out
                case Dense(out, bias):
                    layers.append(nn.Linear(next(inputs), out, bias=bias))
                case BatchNorm():
                    layers.append(nn.BatchNorm2d(channels))
                case Spike(neuron, dropout):
                    layers += [_leaky(lif_of(neuron)), *([nn.Dropout(dropout)] if dropout else [])]
                case Scale(factor):
                    layers.append(ScaledBy(factor))
                case AvgPool(kernel, stride, padding):
                    layers.append(nn.AvgPool2d(kernel, stride, padding))
                case AdaptiveAvgPool(size):
                    layers.append(nn.AdaptiveAvgPool2d(size))
                case Flatten():
                    layers.append(nn.Flatten())
                case _:
                    raise TypeError(f"no snnTorch layer for {part}")
        super().__init__(*layers, _readout())
        self.spec, self.init = spec, init

    def rewind(self) -> None:
        """Start again at the first time step."""
        for module in self:
            if isinstance(module, Frames):
                module.t = 0

    def outputs(self, x: Tensor) -> Tensor:
        """x [T, B, ...] from the zero state -> the readout's potentials [T, B, C]."""
        for layer in self.leaky():
            layer.reset_mem()
        self.rewind()
        return torch.stack([self(x)[1] for _ in x])

    def leaky(self) -> list[Any]:
        return [module for module in self if isinstance(module, snntorch.Leaky)]

    def neurons(self) -> list[nn.Module]:
        return self.leaky()[:-1]

    def spiking(self) -> list[nn.Module]:
        return [*self.neurons(), *(module for module in self if isinstance(module, nn.Dropout))]

    def carried(self, output: object) -> Iterator[Tensor]:
        return (module.mem for module in self.leaky())

    def reset_parameters(self, seed: int) -> None:
        draw_weights(self, self.spec, seed, self.init)


_RESET = {"soft": "subtract", "hard": "zero"}


def _leaky(spec: NeuronSpec) -> nn.Module:
    with torch.device("cpu"):  # its constructor reads values, which do not exist on device 'meta'
        leaky: nn.Module = Leaky(
            beta=spec.decay,
            threshold=spec.threshold,
            spike_grad=partial(_fire, surrogate_of=spec.surrogate),
            reset_mechanism=_RESET[spec.reset],
            init_hidden=True,
        )
    return leaky


def _readout() -> nn.Module:
    """Return neurons whose potential equals their input: TBPTT requires neurons as the last layer."""
    with torch.device("cpu"):
        leaky: nn.Module = Leaky(beta=0.0, spike_grad=_own_surrogate, reset_mechanism="none", init_hidden=True, output=True)
    return leaky


def _own_surrogate(x: Tensor) -> Tensor:
    """snnTorch's default."""
    s: Tensor = surrogate.atan()(x)
    return s


def _fire(x: Tensor, surrogate_of: Surrogate) -> Tensor:
    if surrogate_of.kind == "sigmoid":
        own: Callable[[Tensor], Tensor] = surrogate.sigmoid(surrogate_of.alpha)
    else:
        own = surrogate.custom_surrogate(lambda x, grad, spikes: derivative_(x.clone(), surrogate_of).mul_(grad))
    return own(x).to(x.dtype)  # its spikes are always float32


class _Criterion:
    """The loss in the form that TBPTT accepts; TBPTT recognises it by name and passes the potentials [K, B, C] of a window."""

    __name__ = "ce_max_membrane_loss"

    def __init__(self, loss: Callable[[Tensor], Tensor]) -> None:
        self.loss = loss
        self.total: Tensor | None = None

    def __call__(self, potentials: Tensor, target: Tensor) -> Tensor:
        outs = potentials.detach().sum(0)
        self.total = outs if self.total is None else self.total + outs
        return self.loss(potentials)


def shipped(spec: NetworkSpec, algorithm: str, device: str, options: Options) -> tuple[Shipped, TrainStep]:
    """Return the network and its training step, with the signature of every algorithm. The weights change every K steps."""
    with torch.device(device):
        net = Shipped(spec, options.init).to(device)
    return net, _train_step


def _train_step(net: Shipped, x: Tensor, context: StepContext, options: Options) -> Tensor:
    within(options.K, len(x), name)
    snntorch.SpikingNeuron.instances = net.leaky()
    net.rewind()
    criterion = _Criterion(context.loss)
    batches = [(x, x.new_zeros(x.shape[1]))]  # the target is in the loss
    TBPTT(
        net, batches, UpdateAsOptimizer(context.update), criterion, num_steps=len(x), time_var=False, device=x.device, K=options.K
    )
    assert criterion.total is not None, "a batch of no time steps"
    return criterion.total
