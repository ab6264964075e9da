"""How near the gradient of an algorithm is to BPTT's: their cosine on tensors with storage, at a reduced size.

The weights are the module's own; the input is drawn evenly from 0 to 1 and the target from all classes, from seeds that depend
on names alone. The loss is that of every lifted row, the mean over time steps of each step's cross entropy.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.lift import frameworks
from bench.lift.cost.counts import Setting
from bench.lift.recognition.parts import OptionValues, dtype_of, reset
from bench.lift.recognition.timing import Encoding
from bench.lift.recognition.twin import Real, twin
from bench.lift.running.training import training_step
from bench.seeds import seed_of

SECONDS, BYTES = 60.0, 8 * 2**30  # by default
_FIRST = (4, 2)  # T and batch that are timed first


@dataclass(frozen=True)
class Cosines:
    """``by_algorithm``: a cosine, or why there is none; at ``T`` and ``batch``."""

    T: int
    batch: int
    by_algorithm: Mapping[str, float | str]

    def as_dict(self) -> dict[str, object]:
        """Everything, in types that JSON has."""
        return {"T": self.T, "batch": self.batch, "by algorithm": dict(self.by_algorithm)}


@dataclass(frozen=True)
class Trial:
    """A module with values, whose gradients are compared; it is left as it is."""

    module: nn.Module
    frame: tuple[int, ...]
    encoding: Encoding
    output: Sequence[int]  # [T, B, C, ...] of some T and B

    def gradient(self, algorithm: str, options: OptionValues, T: int, batch: int) -> Tensor:
        """Return the gradient of all parameters as one vector, in double precision. Raises UserError if there is none."""
        with _with_values(self.module) as net:
            x, target = self._samples(T, batch)
            step = training_step(net, algorithm, **options)
            net.zero_grad(set_to_none=True)
            torch.manual_seed(_seed("masks", T, batch))  # of dropout, and the weights of auxiliary classifiers
            step(x, target)
            own = [parameter for parameter in net.parameters() if parameter.requires_grad]
            parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in own]
            return torch.cat([part.detach().double().flatten() for part in parts])

    def _samples(self, T: int, batch: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(_seed("samples", T, batch))
        frames = T if self.encoding == "frames" else 1
        x = torch.rand(frames, batch, *self.frame, generator=generator, dtype=dtype_of(self.module))
        target = torch.randint(self.output[2], (batch, *self.output[3:]), generator=generator)
        return x.expand(T, *x.shape[1:]), target


def cosines(
    setting: Setting,
    output: Sequence[int],
    peak: Callable[[int, int], int],
    algorithms: Mapping[str, OptionValues],
    size: tuple[int, int] | None,
) -> Cosines:
    """Return the cosines of ``algorithms`` (name -> options) to BPTT; ``output``: the shape of the outputs, [T, B, C, ...].

    ``size``: T and batch; None for the largest up to those of ``setting`` that run in SECONDS and BYTES, where ``peak(T, batch)``
    are the bytes of BPTT. Raises UserError if there is no such size, or if the module has no values.
    """
    began = time.monotonic()
    trial = Trial(setting.module, setting.frame, setting.encoding, output)
    T, batch = size or _reduced(trial, (setting.T, setting.batch), peak, len(algorithms) + 1)
    exact = trial.gradient("bptt", {}, T, batch)
    found: dict[str, float | str] = {}
    for name, options in algorithms.items():
        if size is None and time.monotonic() - began > SECONDS:
            found[name] = f"left out: {SECONDS:g} s were over"
            continue
        try:
            found[name] = _cosine(trial.gradient(name, options, T, batch), exact)
        except UserError as error:
            found[name] = str(error)
    return Cosines(T, batch, found)


@contextmanager
def _with_values(module: nn.Module) -> Iterator[nn.Module]:
    """In this context, a copy of the module on the CPU, in its initial state and in training, can be run."""
    net = twin(module, Real())
    adapters = frameworks.of(net)
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.enable_grad())
        for adapter in adapters:
            stack.enter_context(adapter.alone(net))
        if not net.training:
            net.train()
        reset(net, adapters)
        yield net


def _reduced(trial: Trial, most: tuple[int, int], peak: Callable[[int, int], int], runs: int) -> tuple[int, int]:
    """Return the largest T and batch, of those halved from ``most``, whose ``runs`` steps keep within both limits.

    The batch is halved first, down to 2: how far a gradient is from BPTT's depends on T.
    """
    T, batch = most
    first = (min(_FIRST[0], T), min(_FIRST[1], batch))
    if peak(*first) > BYTES:
        raise UserError(f"already T = {first[0]} and batch {first[1]} take more than {BYTES / 2**30:g} GiB")
    began = time.monotonic()
    trial.gradient("bptt", {}, *first)
    taken = time.monotonic() - began
    seconds = taken / (first[0] * first[1])
    while (T, batch) != first:
        quick = seconds * T * batch * runs * 1.5 <= SECONDS - taken  # some algorithms recompute
        if quick and peak(T, batch) <= BYTES:
            break
        T, batch = (T, max(batch // 2, first[1])) if batch > first[1] else (max(T // 2, first[0]), batch)
    return T, batch


def _cosine(one: Tensor, other: Tensor) -> float | str:
    if not (one.any() and other.any()):
        return "a gradient is zero"
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


def _seed(what: str, T: int, batch: int) -> int:
    return seed_of("cosine", what, T, batch)
