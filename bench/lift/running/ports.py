"""Synapses of a user's module as the traces of OTTT see them, and the way by which their products pass through them.

A port has no weights of its own. While a layer of the module runs, its convolution or matrix product is handed to the port with
the weight that the layer computed, so that standardised weights and the layers of frameworks work too. The module is not changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from bench.errors import UserError
from bench.nets.layers import ConvSynapse, DenseSynapse, Presynaptic, State, Synapse
from bench.spec import Conv


class DensePort(DenseSynapse):
    """A matrix product: ``held`` is the weight of the call."""

    def __init__(self, presynaptic: Presynaptic) -> None:
        Synapse.__init__(self, presynaptic)

    def transmit(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.linear(x, weight, self.bias)


class ConvPort(ConvSynapse):
    """A 2-D convolution: ``held`` is the weight of the call; of ``spec`` the stride and the padding are read."""

    def __init__(self, presynaptic: Presynaptic, stride: int, padding: int) -> None:
        Synapse.__init__(self, presynaptic)
        self.spec = Conv(1, stride=stride, padding=padding)
        self.gain, self.factor = None, 1.0  # the weight of the call is the effective one

    def transmit(self, x: Tensor, weight: Tensor) -> Tensor:
        return F.conv2d(x, weight, self.bias, self.spec.stride, self.spec.padding)


Port = DensePort | ConvPort


def port_of(path: str, module: nn.Module, presynaptic: Presynaptic) -> Port:
    """Return the port of a layer. Raises UserError if its product is none that the traces are written for."""
    if isinstance(module, nn.Linear):
        return DensePort(presynaptic)
    if not isinstance(module, nn.Conv2d):
        raise UserError(f"{path} is a {type(module).__name__}, and traces are written for 2-D convolutions and linear layers")
    stride, padding = (_square(value) for value in (module.stride, module.padding if module.padding_mode == "zeros" else 0))
    if stride is None or padding is None or module.groups != 1 or _square(module.dilation) != 1:
        raise UserError(
            f"{path} has stride {module.stride}, padding {module.padding}, dilation {module.dilation} and groups "
            f"{module.groups}, and traces are written for square strides and paddings, without dilation and groups"
        )
    return ConvPort(presynaptic, stride, padding)


def _square(value: object) -> int | None:
    sizes = set(value) if isinstance(value, tuple) else {value}
    size = sizes.pop()
    return size if not sizes and isinstance(size, int) else None


class Through(TorchFunctionMode):
    """While active, the product of the layer that runs passes through its port; ``traces`` are the states of the ports."""

    def __init__(self, paths: Sequence[str], ports: Sequence[Port], layers: Sequence[nn.Module], traces: list[State]) -> None:
        super().__init__()
        self.paths, self.ports, self.layers, self.traces = paths, ports, layers, traces
        self._at: int | None = None

    def enter(self, i: int) -> None:
        self._at = i

    def leave(self, i: int) -> None:
        if self._at is not None:
            raise UserError(f"{self.paths[i]} computes no single product with its weight, so that it cannot have a trace")

    def __torch_function__(self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if self._at is not None and func in (F.linear, F.conv2d):
            i, self._at = self._at, None
            return self._pass(i, *args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))

    def _pass(self, i: int, x: Tensor, weight: Tensor, bias: Tensor | None = None, *settings: object, **named: object) -> Tensor:
        """Run a port on the input of one time step; the settings of the layer are known to it."""
        port = self.ports[i]
        single = x.flatten(0, -2) if isinstance(port, DensePort) else x
        before, self.traces[i] = self.traces[i], None
        port.held, port.bias = weight, bias  # type: ignore[assignment]
        try:
            y, self.traces[i] = self.layers[i](single.unsqueeze(0), before)
        finally:
            port.held = port.bias = None
        out: Tensor = y.squeeze(0)
        return out.unflatten(0, x.shape[:-1]) if out.shape[:-1] != x.shape[:-1] and isinstance(port, DensePort) else out


@contextmanager
def passing_through(net: nn.Module, through: Through) -> Iterator[None]:
    """In this context, products of the layers of ``net`` that have ports pass through them."""
    modules = dict(net.named_modules())
    with ExitStack() as stack:
        for i, path in enumerate(through.paths):
            stack.callback(modules[path].register_forward_pre_hook(lambda _, __, i=i: through.enter(i)).remove)
            stack.callback(modules[path].register_forward_hook(lambda _, __, ___, i=i: through.leave(i)).remove)
        stack.enter_context(through)
        yield


def unported(net: nn.Module, paths: Sequence[str]) -> str | None:
    """Return the name of a weight matrix that belongs to no layer in ``paths``; None if there is none."""
    modules = dict(net.named_modules())
    own = {id(parameter) for path in paths for parameter in modules[path].parameters(recurse=False)}
    names = (
        name for name, weight in net.named_parameters() if weight.dim() > 1 and weight.requires_grad and id(weight) not in own
    )
    return next(names, None)
