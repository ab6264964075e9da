"""What bounds any network: the bytes of a training step that no recomputation, in time or in depth, does without.

weights    parameters and buffers, gradients, and the optimizer's state
input      the batch and its target
norm       the input of one layer of batch norm in one call: of all time steps in multi-step mode, since it ties them
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from torch import nn

from bench.counting.any_step import make_optimizer_state
from bench.counting.tape import tensors
from bench.lift.cost.subject import Optimizer, Subject, subject
from bench.lift.recognition.forward import forward
from bench.lift.recognition.timing import Encoding
from bench.lift.recognition.twin import Meta


@dataclass(frozen=True)
class Bound:
    """Bytes that recomputation leaves: weights, gradients and the optimizer's state; the input; one layer under batch norm."""

    weights: int
    input: int
    norm: int
    layer: str  # the path of the layer of batch norm with the largest input, if there is one

    @property
    def total(self) -> int:
        return self.weights + self.input + self.norm

    def __str__(self) -> str:
        layer = f", {size_of(self.norm)} under batch norm {self.layer}" if self.norm else ""
        return f"{size_of(self.weights)} of weights, gradients and optimizer, {size_of(self.input)} of input{layer}"

    def as_dict(self) -> dict[str, object]:
        return {"weights": self.weights, "input": self.input, "norm": self.norm, "layer": self.layer, "total": self.total}


def bound(
    module: nn.Module, frame: Sequence[int], *, T: int, batch: int, encoding: Encoding, optimizer: Optimizer = "sgd"
) -> Bound:
    """Return what bounds the training of ``module``, counted without storage; arguments as of ``measure``."""
    with subject(module, optimizer, Meta(), frame, T, batch, encoding) as it:
        norms = _norms(it, T, encoding == "repeat")
        layer = max(norms, key=lambda path: norms[path], default="")
        return Bound(weights_of(it), it.x.nbytes + it.target.nbytes, norms.get(layer, 0), layer)


def weights_of(it: Subject) -> int:
    """Return the bytes of parameters, of buffers that are no state, of gradients and of the optimizer's state."""
    state = {id(tensor) for tensor in it.state()}
    held = [*it.net.parameters(), *(buffer for buffer in it.net.buffers() if id(buffer) not in state)]
    gradients = [parameter for parameter in it.net.parameters() if parameter.requires_grad]
    if it.optimizer is not None:
        if not it.optimizer.state:
            make_optimizer_state(it.optimizer)
        held += tensors([list(kept.values()) for kept in it.optimizer.state.values()])
    return sum(tensor.nbytes for tensor in (*held, *gradients))


def _norms(it: Subject, T: int, is_image: bool) -> dict[str, int]:
    """Return the bytes that each layer of batch norm in training reads, in the call in which it reads the most."""
    found: dict[str, int] = {}

    def note(path: str, given: object) -> None:
        found[path] = max(found.get(path, 0), sum(tensor.nbytes for tensor in tensors(given)))

    with ExitStack() as hooks, it.kind.open():
        for path, module in it.net.named_modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training:
                hook = module.register_forward_pre_hook(lambda _, given, path=path: note(path, given))
                hooks.callback(hook.remove)
        forward(it.net, it.x, T, is_image, it.recognised)
    return found


def size_of(count: float) -> str:
    """Return a number of bytes for people."""
    return f"{count / 2**30:.3g} GiB" if count >= 2**28 else f"{count / 2**20:.3g} MiB"
