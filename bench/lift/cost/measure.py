"""What one training step of a user's own network costs, counted on a copy without storage.

The module is run as its author would run it (bench/lift/recognition/forward.py) with the cross entropy of the output averaged
over time, or by the user's own step. It is left as it is: what is run is a copy (bench/lift/recognition/twin.py). Numbers are
those of a step in steady training: one step has run before, so that optimizer and neurons hold what they hold then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.algorithms.context import Watcher
from bench.counting.any_step import Cost
from bench.counting.tape import watching
from bench.errors import UserError, choose
from bench.lift.cost.subject import Optimizer, subject
from bench.lift.frameworks import Framework
from bench.lift.recognition.forward import forward
from bench.lift.recognition.operators import Operators
from bench.lift.recognition.parts import reset
from bench.lift.recognition.recognise import Recognised
from bench.lift.recognition.timing import Encoding
from bench.lift.recognition.twin import Fake, Meta, Real, TensorKind

Precision = Literal["float32", "bfloat16", "float16"]
PRECISIONS: Mapping[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
KINDS: Mapping[str, Callable[[], TensorKind]] = {"meta": Meta, "fake": Fake, "cpu": Real}
Loss = Callable[[Tensor, Tensor], Tensor]  # outputs [T, B, ...] (or [B, ...]) and target [B, ...] -> scalar
Step = Callable[[object, object, Tensor, Tensor], object]  # module, optimizer, x as from the data loader, target


@dataclass(frozen=True)
class Measured:
    """The cost of one training step, and what it was counted on."""

    cost: Cost
    recognised: Recognised
    parameters: int
    trained: int  # parameters that require a gradient
    T: int
    batch: int
    frame: tuple[int, ...]
    encoding: Encoding
    precision: Precision
    device: str  # without storage: "meta" or "fake"; with: "cpu"
    kernels: tuple[str, ...]  # of the neurons, as counted

    def as_dict(self) -> dict[str, object]:
        """Everything, in types that JSON has."""
        settings = {name: getattr(self, name) for name in ("T", "batch", "encoding", "precision", "device")}
        return {
            **settings,
            "frame": list(self.frame),
            "parameters": self.parameters,
            "trained parameters": self.trained,
            "kernels": list(self.kernels),
            "memory": {"total": self.cost.memory.total, **self.cost.memory.by_category, "at": self.cost.memory.operator},
            "macs": {"dense": self.cost.macs.dense, "multiplications": self.cost.macs.multiplications},
            "traffic": self.cost.traffic.conventions(),
            "recognised": self.recognised.as_dict(),
        }


def measure(
    module: nn.Module,
    x_shape: Sequence[int],
    *,
    T: int,
    batch: int,
    encoding: Encoding = "repeat",
    optimizer: Optimizer = "sgd",
    loss: Loss | None = None,
    step: Step | None = None,
    precision: Precision = "float32",
    device: str | None = None,
) -> Measured:
    """Count one training step of ``module`` on ``batch`` samples of ``T`` time steps, without storage; see ``Measured``.

    ``x_shape``: one time step of one sample, e.g. (3, 224, 224). ``encoding``: one image is repeated over time ("repeat"), or
    a sequence of T frames comes in ("frames"). ``optimizer``: a name, an optimizer of the module's parameters (its settings
    and state are taken over), a function of parameters, or None for gradients alone. ``loss(outputs, target)``: outputs are
    [T, B, ...], or [B, ...] if the module averages over time. ``step(module, optimizer, x, target)``: a whole training step as
    written, with its own loop, loss and precision; x is [B, ...], or [T, B, ...] if the encoding is "frames". ``precision``:
    that of automatic mixed precision. ``device``: "meta" (default), "fake" (default for mixed precision) or "cpu", which runs the
    step on tensors with storage. Raises UserError for what cannot be measured, with the module's path and the remedy.
    """
    frame = checked(module, x_shape, T, batch, encoding, precision)
    if step is not None and (loss is not None or precision != "float32"):
        raise UserError("step is a whole training step with its own loss and precision: leave out loss and precision beside it")
    kind = KINDS[choose("device", device or ("meta" if precision == "float32" else "fake"), KINDS)]()
    if precision != "float32" and kind.device == "meta":
        raise UserError(
            f"precision = {precision!r} on device 'meta', which has no automatic mixed precision: use device = 'fake'"
        )
    with subject(module, optimizer, kind, frame, T, batch, encoding) as it:
        recognised, image = it.recognised, encoding == "repeat"
        own = step or Usual(recognised, T, image, loss or cross_entropy_of_mean, PRECISIONS[precision], it.adapters)
        operators = Operators()

        def run(watcher: Watcher | None) -> None:
            with watching(operators) if watcher is None else nullcontext():
                own(it.net, it.optimizer, it.x, it.target)

        cost = it.count(run)
        kernels = tuple(adapter.kernel(operators.namespaces) for adapter in it.adapters)
    parameters = list(module.parameters())
    return Measured(
        cost=cost,
        recognised=recognised,
        parameters=sum(p.numel() for p in parameters),
        trained=sum(p.numel() for p in parameters if p.requires_grad),
        T=T,
        batch=batch,
        frame=frame,
        encoding=encoding,
        precision=precision,
        device=device or ("meta" if precision == "float32" else "fake"),
        kernels=kernels,
    )


def cross_entropy_of_mean(outputs: Tensor, target: Tensor) -> Tensor:
    """Return the usual loss: cross entropy of the output averaged over time; outputs [T, B, C, ...] or [B, C, ...]."""
    averaged = outputs.mean(0) if outputs.dim() > target.dim() + 1 else outputs
    return F.cross_entropy(averaged, target)


@dataclass(frozen=True)
class Usual:
    """One training step as in the frameworks' tutorials: reset, forward, loss, backward, update."""

    recognised: Recognised
    T: int
    is_image: bool
    loss: Loss
    dtype: torch.dtype
    adapters: Sequence[Framework]

    def __call__(self, net: nn.Module, optimizer: torch.optim.Optimizer | None, x: Tensor, target: Tensor) -> None:
        reset(net, self.adapters)
        net.zero_grad(set_to_none=True)
        mixed = nullcontext() if self.dtype == torch.float32 else torch.autocast("cpu", self.dtype)
        with mixed:
            loss = self.loss(forward(net, x, self.T, self.is_image, self.recognised), target)
        if not isinstance(loss, Tensor) or loss.dim():
            shape = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
            raise UserError(f"loss returns {shape}: return a single number, e.g. loss.mean()")
        loss.backward()
        if optimizer is not None:
            optimizer.step()


def checked(module: object, x_shape: Sequence[int], T: object, batch: object, encoding: str, precision: str) -> tuple[int, ...]:
    """Return the shape of a frame. Raises UserError unless these can be settings of a measurement."""
    if not isinstance(module, nn.Module):
        raise UserError(f"{module!r} is no module: give a torch.nn.Module, or a function without arguments that makes one")
    for name, value in (("T", T), ("batch", batch)):
        if type(value) is not int or value < 1:
            raise UserError(f"{name} = {value!r}: use a whole number >= 1")
    choose("encoding", encoding, ("repeat", "frames"))
    choose("precision", precision, PRECISIONS)
    frame = tuple(x_shape)
    if not frame or any(type(size) is not int or size < 1 for size in frame):
        raise UserError(f"x_shape = {x_shape!r}: give the shape of one time step of one sample, e.g. (3, 224, 224)")
    if batch == 1:
        _require_variance(module)
    return frame


def _require_variance(module: nn.Module) -> None:
    norms = [path for path, each in module.named_modules() if isinstance(each, nn.BatchNorm1d)]
    if norms:
        raise UserError(f"{norms[0]} is batch norm over samples, and a batch of 1 has no variance: use batch >= 2")
