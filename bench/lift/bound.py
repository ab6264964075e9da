"""What bounds a network: the part of a training step that no exact schedule, in time or in depth, can do without.

weights and optimizer       parameters, their gradients, and the optimizer's state
one layer's activations     input and output of one layer: of all time steps of a call if batch norm ties them, else of one
input                       the batch, of all time steps if frames come in
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from bench.counting.any_step import make_optimizer_state
from bench.counting.tape import tensors
from bench.lift.forward import forward
from bench.lift.subject import Optimizer, Subject, subject
from bench.lift.timing import Encoding
from bench.lift.twin import Meta

Part = Literal["weights and optimizer", "one layer's activations", "input"]


@dataclass(frozen=True)
class Bound:
    """Bytes of each part; ``layer``: that of the most activations; ``tied``: why its time steps cannot be parted, or ""."""

    parts: Mapping[Part, int]
    layer: str
    tied: str

    @property
    def largest(self) -> Part:
        return max(self.parts, key=lambda part: self.parts[part])


def bound(
    module: nn.Module, frame: Sequence[int], *, T: int, batch: int, encoding: Encoding, optimizer: Optimizer = "sgd"
) -> Bound:
    """Return what bounds the training of ``module``, counted without storage; arguments as of ``measure``."""
    with subject(module, optimizer, Meta(), frame, T, batch, encoding) as it:
        activations = _activations(it, T, encoding == "repeat")
        layer = max(activations, key=lambda path: activations[path])
        parts: dict[Part, int] = {
            "weights and optimizer": _of_weights(it),
            "one layer's activations": activations[layer],
            "input": _size(it.x),
        }
        return Bound(parts, layer, next(iter(it.recognised.over_time.values()), ""))


def _of_weights(it: Subject) -> int:
    trained = [parameter for parameter in it.net.parameters() if parameter.requires_grad]
    if it.optimizer is None:
        return sum(map(_size, it.net.parameters())) + sum(map(_size, trained))
    make_optimizer_state(it.optimizer)
    kept = tensors([list(state.values()) for state in it.optimizer.state.values()])
    return sum(map(_size, [*it.net.parameters(), *trained, *kept]))


def _activations(it: Subject, T: int, is_image: bool) -> dict[str, int]:
    """Return the bytes of input and output of each layer, in the call with the most of them."""
    found: dict[str, int] = {}
    steps = T if it.recognised.time == "multi-step" and not it.recognised.over_time else 1

    def note(path: str, given: object, out: object) -> None:
        storages = {tensor.untyped_storage()._cdata: tensor for tensor in (*tensors(given), *tensors(out))}
        found[path] = max(found.get(path, 0), sum(map(_size, storages.values())) // steps)

    with ExitStack() as hooks, it.world.open():
        for path, layer in _layers(it):
            hook = layer.register_forward_hook(lambda _, given, out, path=path: note(path, given, out))
            hooks.callback(hook.remove)
        forward(it.net, it.x, T, is_image, it.recognised)
    return found


def _layers(it: Subject) -> Iterator[tuple[str, nn.Module]]:
    """Yield layers of neurons, and modules without parts that are not within one."""
    neurons = tuple(neuron.path for neuron in it.recognised.neurons)
    for path, module in it.net.named_modules():
        within = any(path.startswith(f"{neuron}.") for neuron in neurons)
        if path in neurons or (not within and next(module.children(), None) is None):
            yield path, module


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
